// Package keystore keeps the tokens of the person at the keyboard where their system keeps secrets: the
// Keychain of macOS, the Credential Manager of Windows, the Secret Service (GNOME Keyring, KWallet) of Linux.
//
// A value is kept under a [Key]: who issued it, to which client, for which resource. It may be of any size;
// what is too long for one entry of the system is split into several, and a crash in the middle of writing
// leaves the old value or the new one, never a mixture.
//
// # Without a key store
//
// Servers and containers often have none. Then values lie in files of mode 0600, sealed with AES-256-GCM, and
// the key lies in the keyring of the Linux kernel: it is never on a disk, and gone when the person's last
// process has ended or the machine restarts, which means to sign in again. Where there is no such keyring
// either, [Open] refuses with a [*NoKeyStoreError], unless Config.InsecureFile accepts a key that lies in a
// file beside the values. [Store.Where] says in one sentence which of the three it is.
//
// # Several processes
//
// [Store.Lock] is a lock across processes. Take it to sign in or to refresh, and look at the stored value
// again once you have it: somebody else may have done the work. It ends with the process that holds it.
package keystore
