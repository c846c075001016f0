package main

import "syscall"

// apart keeps the terminal's signals from a process, which is ended in its turn,
// and ends it where this one is killed.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
