// Package mcpwire reads what a client sends, strictly and once, and filters the lists that a server answers.
package mcpwire
