package rest

import (
	"context"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Resolve is Task/[id]/$resolve: a professional identifies, with the input of $match, whom a message of the work queue is
// about. resolve carries it out and answers the completed Task.
func Resolve(resolve func(ctx context.Context, c exchange.Caller, task string, who exchange.Identification) (*exchange.Resource, error)) Operation {
	return Operation{
		Type: "Task", Name: "resolve", Instance: true, Definition: terms.Base + "OperationDefinition/resolve",
		Documentation: "Gives a message that no certain client was found for (Task.code unmatched-message) to the client whom a professional " +
			"identifies by identity code and name, both in the body as for $match: what it tells is recorded, and the Task completed.",
		Handle: func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
			who, err := identification("$resolve", in)
			if err != nil {
				return nil, err
			}
			return resolve(ctx, c, id, who)
		},
	}
}
