// Package postgres keeps the gateway's store in PostgreSQL: many gateway nodes, one database.
package postgres
