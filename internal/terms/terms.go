// Package terms names the canonical URLs, code systems and codes that Sotesilta itself defines, and the
// national identifier systems it reads. One constant per name, so that a term is spelled in one place only.
// It holds no rules: what a code permits is said in consent, what a step leads to in gateway/process.
package terms

// Base is where every canonical URL of ours begins (contract: "Process and its resources").
const Base = "https://sotesilta.example/fhir/"

// Code systems of ours.
const (
	// Register labels a resource with the register it belongs to, in meta.security: health, social, identity,
	// directory, directive.
	Register = Base + "CodeSystem/register"
	// Purpose is the purpose_of_use of a token: care, need-assessment, incapacity, emergency, statutory-act,
	// supervision, own-data.
	Purpose = Base + "CodeSystem/purpose"
	// Step codes the nine steps of the joint-client process in Task.code.
	Step = Base + "CodeSystem/joint-client-step"
	// ServiceTask is the palvelutehtävä of social care data, in meta.security.
	ServiceTask = Base + "CodeSystem/service-task"
	// DataClass is the class of data that permits and access caps speak of, in meta.security.
	DataClass = Base + "CodeSystem/data-class"
	// Protection marks specially protected data (703/2023 § 26.2), in meta.security.
	Protection = Base + "CodeSystem/protection"
	// LegalBasis holds the rows of the table of legal bases, such as ATL-53.2; carried by AuditEvent.agent.policy
	// as LegalBasisPolicy(row).
	LegalBasis = Base + "CodeSystem/legal-basis"
	// Directive tells the kind of a Consent: permit, ban, consent.
	Directive = Base + "CodeSystem/directive"
	// AccessTask is the task of decree 457/2024 that a user acts in, such as 3.1 or 10.1.1.
	AccessTask = Base + "CodeSystem/access-task"
	// Interaction extends the FHIR restful-interaction codes in the ledger: match, apply, notify, receive.
	Interaction = Base + "CodeSystem/interaction"
	// RetentionClass tells how long a record of the ledger or a version of a directive is kept (703/2023 § 24, annex).
	RetentionClass = Base + "CodeSystem/retention-class"
	// ReportForm is the form of a log report: own-view (703/2023 § 74) or section-11.
	ReportForm = Base + "CodeSystem/report-form"
)

// Code systems of a human's acts (gateway/process, acts.yaml): Task.code, what its inputs are, and the words in them.
const (
	HumanAct       = Base + "CodeSystem/human-act"
	ActInput       = Base + "CodeSystem/human-act-input"
	DisclosureFact = Base + "CodeSystem/disclosure-fact"
	DisclosureLimb = Base + "CodeSystem/disclosure-limb"
	RecipientKind  = Base + "CodeSystem/recipient-kind"
)

// The human's acts, codes of HumanAct.
const (
	ActRequest  = "request-disclosure" // asks the unit that holds data for a human's decision
	ActDecide   = "decide-disclosure"  // that unit's part of it: its completion is the disclosure
	ActDisclose = "disclose"           // a disclosure on one's own initiative
	ActReceive  = "receive-disclosure" // tells the recipient's unit what it was given, or that it was taken back
	ActRecall   = "recall"             // takes a mistaken disclosure back
	ActRelabel  = "relabel"            // mends a wrong label
	ActRectify  = "rectify"            // rectifies data (2016/679 art. 16)
	ActInform   = "inform-client"      // tells the client what was obtained about them
)

// What the inputs and outputs of a human's act are, codes of ActInput.
const (
	InputGround        = "ground"
	InputLimb          = "limb"
	InputReason        = "reason"
	InputRecipient     = "recipient"
	InputRecipientKind = "recipient-kind"
	InputDocument      = "document"
	InputWanted        = "wanted"
	InputLabel         = "label"
	InputAct           = "act"
	InputRequest       = "request"
)

// The nine steps of the joint-client process, codes of Step.
const (
	StepIdentify         = "identify"
	StepDiscuss          = "discuss"
	StepCheckResponsible = "check-responsible"
	StepBookAssessment   = "book-assessment"
	StepAssess           = "assess"
	StepInvite           = "invite"
	StepDeliver          = "deliver"
	StepReview           = "review"
	StepEnd              = "end"
)

// JointClient is the PlanDefinition of the generic process of the joint client.
const JointClient = Base + "PlanDefinition/joint-client"

// National identifier systems (koodistopalvelu; legal-bases § 10).
const (
	HETU           = "urn:oid:1.2.246.21" // personal identity code
	SecurityLabel  = "https://hl7.fi/fhir/finnish-base-profiles/CodeSystem/fi-base-security-label-cs"
	Turvakielto    = "TURVAKIELTO"                        // code of SecurityLabel: non-disclosure for personal safety
	PermitToSocial = "1"                                  // Kanta SoTeConsent category: patient data to social care
	PermitToHealth = "2"                                  // Kanta SoTeConsent category: social data to health care
	PermitCategory = Base + "CodeSystem/permit-direction" // slot for Kanta's own value set, whose codes were not seen
)

// LegalBasisPolicy is the URI by which AuditEvent.agent.policy names a row of the table of legal bases.
func LegalBasisPolicy(row string) string { return LegalBasis + "#" + row }
