package api

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/node/feed"
)

// maxFiles bounds a directory of games: one a day for almost three years.
const maxFiles = 1000

// files reads games from a file, or from the .json files of a directory, in the
// form of the games API. A file is read again when its size or time changes. One
// that cannot be read fails the fetch: a file half written is seen whole the
// next time (write it beside and rename it, and it is never seen half).
type files struct {
	path string
	now  func() time.Time
	read map[string]*fileRead
}

type fileRead struct {
	size     int64
	modified time.Time
	noticed  time.Time // by the node's clock: what Request.Since is compared with
	games    []bet.Game
	problems []feed.Problem
	told     bool // its problems were handed on
}

func newFiles(cfg *Config) *files {
	return &files{path: cfg.URL, now: cfg.Now, read: map[string]*fileRead{}}
}

func fileError(err error) *Error { return &Error{Code: CodeFile, Err: err} }

// names are the files to read, sorted.
func (f *files) names() ([]string, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fileError(err)
	}
	if !info.IsDir() {
		return []string{f.path}, nil
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fileError(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(f.path, e.Name()))
		}
	}
	if len(names) > maxFiles {
		return nil, &Error{Code: CodeTooLarge, Op: f.path, Err: fmt.Errorf("%d files, at most %d", len(names), maxFiles)}
	}
	return names, nil
}

func (f *files) fetch(ctx context.Context, q feed.Request) (answer, error) {
	names, err := f.names()
	if err != nil {
		return answer{}, err
	}
	a := answer{batch: feed.Batch{At: f.now()}}
	at := map[bet.GameID]int{}
	there := make(map[string]*fileRead, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return answer{}, asError(err, "read "+name)
		}
		r, err := f.file(name, a.batch.At)
		if err != nil {
			return answer{}, err
		}
		there[name] = r
		if !r.noticed.After(q.Since) {
			continue
		}
		for i := range r.games {
			k, known := at[r.games[i].ID]
			if known { // later files know better
				a.batch.Games[k] = r.games[i]
				continue
			}
			at[r.games[i].ID] = len(a.batch.Games)
			a.batch.Games = append(a.batch.Games, r.games[i])
		}
		if !r.told {
			r.told = true
			a.problems = append(a.problems, r.problems...)
		}
	}
	f.read = there
	return a, nil
}

// file returns what a file holds, reading it where it changed.
func (f *files) file(name string, now time.Time) (*fileRead, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fileError(err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for ever
		return nil, fileError(fmt.Errorf("%s: not a regular file", name))
	}
	if old := f.read[name]; old != nil && old.size == info.Size() && old.modified.Equal(info.ModTime()) {
		return old, nil
	}
	h, err := os.Open(name)
	if err != nil {
		return nil, fileError(err)
	}
	defer h.Close()
	raw, err := io.ReadAll(io.LimitReader(h, feed.MaxAPIBytes+1))
	if err != nil {
		return nil, fileError(err)
	}
	games, problems, err := feed.DecodeGames(raw, now)
	if err != nil {
		return nil, &Error{Code: CodeShape, Op: "read " + name, Err: err}
	}
	r := &fileRead{size: info.Size(), modified: info.ModTime(), noticed: now, games: games, problems: problems}
	f.read[name] = r
	return r, nil
}

func (f *files) check(context.Context) error {
	names, err := f.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := f.file(name, f.now()); err != nil {
			return err
		}
	}
	return nil
}

func (f *files) stats(*Stats) {}

func (f *files) close() {}
