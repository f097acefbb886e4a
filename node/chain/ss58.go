package chain

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// An SS58 address is base58 of the network's prefix, the public key and two
// bytes of checksum. Bittensor's networks all use the prefix 42.
const (
	ss58Prefix   = 42
	ss58Bytes    = 1 + 32 + 2
	ss58MaxChars = 49 // base58 of 35 bytes has at most this many digits
	ss58Domain   = "SS58PRE"
)

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Value is each byte's digit, -1 where it is none.
var base58Value = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range len(base58Digits) {
		v[base58Digits[i]] = int8(i)
	}
	return v
}()

// Why a text is not a hotkey of this network.
var (
	ErrAddressForm     = errors.New("not an SS58 address")
	ErrAddressNetwork  = errors.New("SS58 address of another network")
	ErrAddressChecksum = errors.New("SS58 checksum does not match")
)

// checksum is the first two bytes of blake2b-512 over the domain and the
// address without its checksum.
func checksum(body []byte) [2]byte {
	var b [len(ss58Domain) + ss58Bytes]byte
	n := copy(b[:], ss58Domain)
	n += copy(b[n:], body)
	sum := blake2b.Sum512(b[:n])
	return [2]byte{sum[0], sum[1]}
}

// EncodeSS58 is the address of a public key in the chain's text form.
func EncodeSS58(pub [32]byte) Hotkey {
	var b [ss58Bytes]byte
	b[0] = ss58Prefix
	copy(b[1:], pub[:])
	sum := checksum(b[:33])
	copy(b[33:], sum[:])

	// Long division by 58, digits from the right. The first byte is the prefix
	// and never zero, so base58's leading ones cannot occur.
	var digits [ss58MaxChars]byte
	at := len(digits)
	for start := 0; start < len(b); {
		rest := 0
		for i := start; i < len(b); i++ {
			acc := rest<<8 | int(b[i])
			b[i] = byte(acc / 58)
			rest = acc % 58
		}
		at--
		digits[at] = base58Digits[rest]
		for start < len(b) && b[start] == 0 {
			start++
		}
	}
	return Hotkey(digits[at:])
}

// PublicKey decodes the address. It refuses another network's prefix, a wrong
// checksum, and anything that is not exactly one 32-byte key. It does not
// allocate when it succeeds.
func (h Hotkey) PublicKey() ([32]byte, error) {
	var pub [32]byte
	if len(h) == 0 || len(h) > ss58MaxChars {
		return pub, fmt.Errorf("address of %d characters: %w", len(h), ErrAddressForm)
	}
	if h[0] == base58Digits[0] {
		// A leading 1 is a leading zero byte: network 0.
		return pub, fmt.Errorf("address %q: %w", string(h), ErrAddressNetwork)
	}
	var b [ss58Bytes]byte
	used := 0 // bytes of b, from the right, that hold the number so far
	for i := range len(h) {
		carry := int(base58Value[h[i]])
		if carry < 0 {
			return pub, fmt.Errorf("address character %q at %d: %w", h[i], i, ErrAddressForm)
		}
		k := 0
		for ; k < used || carry > 0; k++ {
			if k == len(b) {
				return pub, fmt.Errorf("address %q is too long: %w", string(h), ErrAddressForm)
			}
			acc := int(b[len(b)-1-k])*58 + carry
			b[len(b)-1-k] = byte(acc)
			carry = acc >> 8
		}
		used = k
	}
	if used != len(b) {
		return pub, fmt.Errorf("address %q is of %d bytes, want %d: %w", string(h), used, len(b), ErrAddressForm)
	}
	if b[0] != ss58Prefix {
		return pub, fmt.Errorf("address %q has prefix %d, want %d: %w", string(h), b[0], ss58Prefix, ErrAddressNetwork)
	}
	if sum := checksum(b[:33]); sum[0] != b[33] || sum[1] != b[34] {
		return pub, fmt.Errorf("address %q: %w", string(h), ErrAddressChecksum)
	}
	copy(pub[:], b[1:33])
	return pub, nil
}
