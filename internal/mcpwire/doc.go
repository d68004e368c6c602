// Package mcpwire reads what a client sends, strictly and once, and filters the lists that a server answers.
//
// # In
//
// [Read] accepts one JSON-RPC message and refuses everything that two parsers could read differently: keys
// twice or in another case, invalid UTF-8, a byte order mark, half surrogates, numbers that don't fit, deep
// nesting, anything behind the message, batches. What was read is written again ([Message.Bytes]): without
// space, every string in one spelling, numbers and the order of keys as they were. The gateway authorises what
// was read and forwards what was written, so that they can't differ. [Message.Uses] names the things that
// need an authorisation; [Message.CheckHeaders] holds the headers to the body.
//
// # Out
//
// [Filter] takes from lists of tools, prompts and resources what an identity may not see, in JSON
// ([Filter.JSON]) and in event streams ([Filter.Events]); [Wanted] says for which methods that is needed. It
// also makes what was filtered private to whoever asked (cacheScope, since revision 2026-07-28). Everything
// else passes byte for byte and at once.
package mcpwire
