package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// startLimit bounds how long a server may take to answer.
const startLimit = 30 * time.Second

// supervise runs the server and waits for it. SIGTERM, which also comes when the
// test process dies, ends the server and deletes its files; SIGUSR1 ends the
// server alone, as a crash of it would.
const supervise = `
"$1" --port 0 --unixsocket "$2"/redis.sock --dir "$2" --save "" --appendonly no >"$2"/log 2>&1 &
trap 'kill -KILL $!; wait; rm -rf "$2"; exit' TERM
trap 'kill -KILL $!; wait; rm -f "$2"/redis.sock; exit' USR1
wait`

// Server is a server of one test's own.
type Server struct {
	URL string // unix://…

	t      testing.TB
	binary string
	dir    string // holds the socket and the log
	signal func(syscall.Signal)
	ended  chan struct{} // closed when the process has ended
}

// NewServer starts a server that ends with the test. Where Redis is missing the
// test is skipped, or fails where the environment has CI=true.
func NewServer(t testing.TB) *Server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "true" { //nolint:forbidigo // tests have no configuration
			t.Skip("SKIPPED, NOTHING WAS TESTED ON REDIS: no redis-server in PATH")
		}
		t.Fatal("no redis-server in PATH")
	}
	dir, err := os.MkdirTemp("/tmp", "galaxygate-redis-") // whose name is short enough for a socket's
	if err != nil {
		t.Fatalf("make server directory: %v", err)
	}
	s := &Server{URL: "unix://" + filepath.Join(dir, "redis.sock"), t: t, binary: binary, dir: dir}
	t.Cleanup(func() {
		if s.signal != nil {
			s.stop(syscall.SIGTERM)
		}
		_ = os.RemoveAll(dir) // where it had been stopped already
	})
	s.Start()
	return s
}

// Stop ends the server as a crash would. What it held is gone.
func (s *Server) Stop() { s.stop(syscall.SIGUSR1) }

// Start starts the stopped server, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("Redis for tests: %v", err)
	}
}

func (s *Server) start() error {
	cmd := exec.Command("sh", "-c", supervise, "sh", s.binary, s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // an interrupt from the terminal is the test's to handle
		Pdeathsig: syscall.SIGTERM,
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
	s.ended = ended
	s.signal = func(sig syscall.Signal) { _ = cmd.Process.Signal(sig) }
	return s.ready()
}

// ready waits until the server answers.
func (s *Server) ready() error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if s.ping() == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-s.ended:
			return fmt.Errorf("server ended at once: %s", s.log())
		case <-limit.C:
			return fmt.Errorf("server does not answer: %s", s.log())
		}
	}
}

func (s *Server) ping() error {
	conn, err := net.Dial("unix", filepath.Join(s.dir, "redis.sock"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, len("+PONG"))
	if _, err := conn.Read(answer); err != nil {
		return err
	}
	if string(answer) != "+PONG" {
		return errors.New("not ready")
	}
	return nil
}

// stop ends the server with that signal, and waits for it.
func (s *Server) stop(sig syscall.Signal) {
	s.signal(sig)
	<-s.ended
}

func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text)
}
