package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startLimit bounds how long a server may take to answer.
const startLimit = 30 * time.Second

// errMissing means that this machine has no PostgreSQL server.
var errMissing = errors.New("no PostgreSQL server in PATH or /usr/lib/postgresql/*/bin")

// supervise runs the server and waits for it. SIGTERM, which also comes when
// the test process dies, ends the server and deletes its files; SIGUSR1 ends
// the server alone, as a crash of it would.
const supervise = `
"$1"/postgres -D "$2"/data -k "$2" -c listen_addresses= -c max_connections=300 \
    -c fsync=off -c full_page_writes=off >"$2"/log 2>&1 &
trap 'kill -QUIT $!; wait; rm -rf "$2"; exit' TERM
trap 'kill -QUIT $!; wait; exit' USR1
wait`

// instance is one server: its programs, its files, its process.
type instance struct {
	bin        string
	dir        string // holds the data, the socket and the log
	credential *syscall.Credential
	signal     func(syscall.Signal)
	ended      chan struct{} // closed when the process has ended
}

// newInstance makes the files of a server, and starts it.
func newInstance(ctx context.Context) (*instance, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	in := &instance{bin: bin}
	if os.Geteuid() == 0 {
		if in.credential, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	if in.dir, err = os.MkdirTemp(roomiest(), "galaxygate-pg-"); err != nil {
		return nil, fmt.Errorf("make server directory: %w", err)
	}
	if in.credential != nil {
		if err := os.Chown(in.dir, int(in.credential.Uid), int(in.credential.Gid)); err != nil {
			return nil, fmt.Errorf("hand over server directory: %w", err)
		}
	}
	_, err = in.run(ctx, "initdb", "-D", filepath.Join(in.dir, "data"), "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err == nil {
		err = in.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(in.dir))
	}
	return in, nil
}

// start runs the server until it is stopped or this process dies, and returns
// when it answers.
func (in *instance) start(ctx context.Context) error {
	cmd := exec.Command("sh", "-c", supervise, "sh", in.bin, in.dir)
	cmd.Dir = in.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: in.credential,
		Setpgid:    true, // an interrupt from the terminal is the test's to handle
		Pdeathsig:  syscall.SIGTERM,
	}
	started := make(chan error)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Pdeathsig comes when the thread that started the process ends, so this
		// one is kept until then.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	in.ended = ended
	in.signal = func(s syscall.Signal) { _ = cmd.Process.Signal(s) }
	return in.ready(ctx)
}

// ready waits until the server answers.
func (in *instance) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if _, err := in.run(ctx, "pg_isready", "-q", "-h", in.dir); err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-in.ended:
			return fmt.Errorf("server ended at once: %s", in.log())
		case <-ctx.Done():
			return fmt.Errorf("server does not answer: %s", in.log())
		}
	}
}

// stop ends the server with that signal, and waits for it.
func (in *instance) stop(s syscall.Signal) {
	in.signal(s)
	<-in.ended
}

// psql runs statements in that database.
func (in *instance) psql(ctx context.Context, database string, statements ...string) error {
	args := []string{"-X", "-q", "-h", in.dir, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	_, err := in.run(ctx, "psql", args...)
	return err
}

func (in *instance) run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(in.bin, program), args...)
	cmd.Dir = in.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: in.credential}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return string(out), nil
}

func (in *instance) url(database string) string {
	return "postgres://postgres@/" + database + "?host=" + in.dir + "&sslmode=disable"
}

func (in *instance) log() string {
	text, _ := os.ReadFile(filepath.Join(in.dir, "log"))
	return string(text)
}

// binaries returns the directory of the server's programs.
func binaries() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", errMissing
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) })
	return filepath.Dir(newest), nil
}

// major is the version in /usr/lib/postgresql/15/bin/postgres.
func major(path string) int {
	version, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return version
}

// unprivileged returns an account for the server, which refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find an account for the server: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user ID of %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("group ID of %s: %w", account.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// roomiest returns /dev/shm where that has room for a server, else /tmp, whose
// name is short enough for a socket's.
func roomiest() string {
	const shm, enough = "/dev/shm", 512 << 20
	var stat syscall.Statfs_t
	if err := syscall.Statfs(shm, &stat); err == nil && stat.Bavail*uint64(stat.Bsize) > enough {
		return shm
	}
	return "/tmp"
}
