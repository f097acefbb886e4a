package cli

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// localnetProcess is `localnet` without nodes of its own, until it is ready.
type localnetProcess struct {
	cmd  *exec.Cmd
	dir  string // its temporary folder
	done chan struct{}
}

func startLocalnet(t *testing.T, close bool, args ...string) *localnetProcess {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"localnet", "--rpc-listen", "127.0.0.1:0", "--validators", "0", "--miners", "0"}, args...)...)
	// It makes its folder where it is told that folders for a while are.
	temp := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &localnetProcess{cmd: cmd, done: make(chan struct{}, 1)}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "ready") {
		if rest, ok := strings.CutPrefix(lines.Text(), "directory"); ok {
			l.dir = strings.Fields(rest)[0]
		}
	}
	if !strings.HasPrefix(l.dir, temp) || !exists(l.dir) {
		t.Fatalf("it says that it is at %q, want a folder in %s", l.dir, temp)
	}
	if close {
		out.Close()
	}
	go func() {
		defer func() { l.done <- struct{}{} }()
		for !close && lines.Scan() {
		}
		cmd.Wait() // the state tells
	}()
	return l
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (l *localnetProcess) code(t *testing.T) int {
	t.Helper()
	select {
	case <-l.done:
		return l.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
		return 0
	}
}

// fullPipe is a file at which a report's writing hangs: a pipe that is full.
func fullPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	for page := make([]byte, 4096); err == nil; {
		_, err = syscall.Write(fd, page)
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
	return path
}

// TestLocalnetRemovesItsFolder: however a run without --dir ends, its folder goes.
func TestLocalnetRemovesItsFolder(t *testing.T) {
	t.Parallel()
	pipe := fullPipe(t)
	for _, c := range []struct {
		name  string
		args  []string
		close bool // its output
		send  []syscall.Signal
		code  int
	}{
		{"at its time", []string{"--for", "1500ms"}, false, nil, 0},
		{"Ctrl-C", nil, false, []syscall.Signal{syscall.SIGINT}, 0},
		{"SIGTERM", nil, false, []syscall.Signal{syscall.SIGTERM}, 0},
		{"a second Ctrl-C", []string{"--json", pipe}, false, []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, 130},
		{"a second SIGTERM", []string{"--json", pipe}, false, []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, 143},
		{"a report that cannot be written", []string{"--for", "1500ms", "--json", filepath.Join(t.TempDir(), "none", "x")}, false, nil, exitBad},
		{"nobody reads", []string{"--for", "1500ms"}, true, nil, exitBad},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := startLocalnet(t, c.close, c.args...)
			for i, s := range c.send {
				if err := l.cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				if i+1 < len(c.send) { // signals that wait together count once
					select {
					case <-l.done:
						t.Fatal("the first one ended it at once")
					case <-time.After(500 * time.Millisecond):
					}
				}
			}
			if got := l.code(t); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			if exists(l.dir) {
				t.Errorf("%s is still there", l.dir)
			}
		})
	}
}

// TestLocalnetRefuses: what cannot be is refused at once, and leaves nothing.
func TestLocalnetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"--speed 500", "a speed of 500 is not between 1 and 120"},
		{"--rpc-listen 0.0.0.0:0", "loopback only"},
		{"--for -1s", "--for must not be negative"},
		{"--churn -1s", "churn every"},
		{"--validators 65", "0 to 64 of each"},
		{"extra", `unexpected argument "extra"`},
	} {
		t.Run(c.args, func(t *testing.T) {
			temp := t.TempDir()
			cmd := exec.Command(binary, append([]string{"localnet"}, strings.Fields(c.args)...)...)
			cmd.Env = append(os.Environ(), "TMPDIR="+temp)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitBad || !strings.Contains(string(out), c.want) {
				t.Errorf("exit code %d:\n%s\nwant %d and %q", code, out, exitBad, c.want)
			}
			if left := listing(t, temp); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}
