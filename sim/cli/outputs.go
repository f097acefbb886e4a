package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// closers are files that a command writes. A command that fails leaves none
// half written, but for a trace that says at its end that it is.
type closers struct {
	files []*outFile
}

type outFile struct {
	*bufio.Writer
	f    *os.File
	path string
	temp bool // f takes the place of path when it is whole
}

// create begins a file. What cannot be written must show before a run of
// minutes, not after it. A device or a pipe is written to as it is: nothing may
// take its place.
func (c *closers) create(path string) (io.Writer, error) {
	o := &outFile{path: path}
	info, err := os.Stat(path)
	if o.temp = err != nil || info.Mode().IsRegular(); err == nil && o.temp {
		o.path, err = filepath.EvalSymlinks(path) // a link stays, what it leads to is replaced
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if abs, e := filepath.Abs(o.path); e == nil {
		o.path = abs
	}
	for _, other := range c.files {
		if o.temp && other.path == o.path {
			err = errors.New("two outputs of one command go there")
		}
	}
	switch {
	case err != nil:
	case info != nil && info.IsDir():
		err = errors.New("is a directory")
	case o.temp:
		o.f, err = os.CreateTemp(filepath.Dir(o.path), "."+filepath.Base(o.path)+".*")
	default:
		o.f, err = os.OpenFile(o.path, os.O_WRONLY, 0)
	}
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err // which may name the temporary file
		}
		return nil, fail(exitBad, "write %s: %w", path, err)
	}
	o.Writer = bufio.NewWriterSize(o.f, 1<<16)
	c.files = append(c.files, o)
	return o, nil
}

// optional is create, but nothing for no path.
func (c *closers) optional(path string) (io.Writer, error) {
	if path == "" {
		return nil, nil
	}
	return c.create(path)
}

// encodeJSON writes data for programs.
func encodeJSON(w io.Writer, data any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(data); err != nil {
		return fail(exitBad, "write the data: %w", err)
	}
	return nil
}

func (c *closers) close() error {
	for i, o := range c.files {
		err := errors.Join(o.Flush(), o.f.Close())
		if err == nil && o.temp {
			err = errors.Join(os.Chmod(o.f.Name(), 0o644), os.Rename(o.f.Name(), o.path))
		}
		if err != nil {
			c.files = c.files[i:]
			return fail(exitBad, "write %s: %w", o.path, err)
		}
	}
	c.files = nil
	return nil
}

// keep closes one file of a command that failed, and drops the others: it is good
// as far as it goes, and says so at its end. The error is err, with the file's name
// where there is something in it.
func (c *closers) keep(w io.Writer, err error) error {
	for i, o := range c.files {
		if w != io.Writer(o) {
			continue
		}
		c.files = slices.Delete(c.files, i, i+1)
		defer c.abandon()
		one := closers{files: []*outFile{o}}
		defer one.abandon()
		if e := o.Flush(); e != nil {
			return errors.Join(err, fmt.Errorf("write %s: %w", o.path, e))
		}
		if info, e := o.f.Stat(); e == nil && info.Size() == 0 {
			return err // nothing was begun
		}
		if e := one.close(); e != nil {
			return errors.Join(err, e)
		}
		return errors.Join(err, fmt.Errorf("%s holds the trace up to there", o.path))
	}
	return err
}

// abandon drops what was not closed.
func (c *closers) abandon() {
	for _, o := range c.files {
		o.f.Close()
		if o.temp {
			os.Remove(o.f.Name())
		}
	}
}
