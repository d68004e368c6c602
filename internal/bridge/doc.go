// Package bridge is Genkan on a person's own machine: it lets an MCP client that only speaks stdio use a
// protected server ([Connect]), and guards a local server that somebody else wrote ([Local]).
//
// Standard output belongs to the MCP client and carries JSON-RPC only, one message a line. Whatever a person
// should read goes to the log writer, which is standard error. No token and no part of one goes to either.
package bridge
