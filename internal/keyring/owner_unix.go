//go:build unix

package keyring

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives the file the owner of the one that it is to replace, unless it
// has it.
func keepOwner(file *os.File, old fs.FileInfo) error {
	made, err := file.Stat()
	if err != nil {
		return err
	}
	was, ok := old.Sys().(*syscall.Stat_t)
	is, also := made.Sys().(*syscall.Stat_t)
	if !ok || !also || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	return file.Chown(int(was.Uid), int(was.Gid))
}
