//go:build !linux

package main

import "syscall"

// apart is for systems without /proc, where nothing is measured.
func apart() *syscall.SysProcAttr { return nil }
