package certapp

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Certificate is one entry of the register. It is copied in and out, so a
// handler may read its copy without a lock.
type Certificate struct {
	ID      int
	Code    string // what /verificar/ is asked for; fixed for life
	Holder  string
	Course  string
	Hours   int
	Grade   string
	Issued  time.Time
	Updated time.Time
	Revoked bool
}

// Year is the year of issue.
func (c Certificate) Year() int { return c.Issued.Year() }

// register holds the certificates, newest first, and the last few changes.
type register struct {
	mu      sync.RWMutex
	entries []Certificate
	changes []change // newest first, at most maxChanges
}

type change struct {
	At     time.Time
	By     string
	ID     int
	Holder string
}

const maxChanges = 5

// code derives the verification code from the number: 12 symbols of base32,
// which can be read out over the telephone.
func code(id int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "certapp certificate %d", id))
	s := base32.StdEncoding.EncodeToString(sum[:8])
	return s[:4] + "-" + s[4:8] + "-" + s[8:12]
}

func newRegister() *register {
	holders := []string{"Lucía Fernández", "Mateo Álvarez", "Valentina Rojas", "Santiago Núñez", "Camila Herrera", "Diego Castaño",
		"Inés Villanueva", "Tomás Ibáñez", "Sofía Cárdenas", "Andrés Peñalosa", "Martina Quiroga", "Joaquín Salas"}
	courses := []struct {
		name  string
		hours int
	}{
		{"Restoration of Historic Façades", 120}, {"Coastal Navigation, Level II", 80}, {"Fundamentals of Hydrology", 60},
		{"Emergency Care in Mountain Areas", 40}, {"Typography and Editorial Design", 90}, {"Beekeeping and Pollinator Health", 48},
		{"Museum Archives and Cataloguing", 70}, {"Solar Installations up to 10 kW", 110},
	}
	grades := []string{"Pass", "Merit", "Distinction"}
	reg := &register{}
	for id := 24; id >= 1; id-- {
		course := courses[id*5%len(courses)]
		issued := time.Date(2024, time.February, 5, 9, 30, 0, 0, time.UTC).AddDate(0, 0, id*23)
		reg.entries = append(reg.entries, Certificate{
			ID: id, Code: code(id), Holder: holders[id*7%len(holders)], Course: course.name, Hours: course.hours,
			Grade: grades[id%len(grades)], Issued: issued, Updated: issued, Revoked: id == 13,
		})
	}
	return reg
}

func (reg *register) all() []Certificate {
	reg.mu.RLock()
	defer reg.mu.RUnlock()
	return slices.Clone(reg.entries)
}

func (reg *register) byID(id int) (Certificate, bool) {
	return reg.find(func(c Certificate) bool { return c.ID == id })
}

func (reg *register) byCode(code string) (Certificate, bool) {
	return reg.find(func(c Certificate) bool { return c.Code == code })
}

func (reg *register) find(match func(Certificate) bool) (Certificate, bool) {
	reg.mu.RLock()
	defer reg.mu.RUnlock()
	i := slices.IndexFunc(reg.entries, match)
	if i < 0 {
		return Certificate{}, false
	}
	return reg.entries[i], true
}

// update applies set to the entry under the lock, and notes who did it. Number
// and code stay as they are, and false means that there is no such entry.
func (reg *register) update(id int, by string, at time.Time, set func(*Certificate)) bool {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	i := slices.IndexFunc(reg.entries, func(c Certificate) bool { return c.ID == id })
	if i < 0 {
		return false
	}
	edited := reg.entries[i]
	set(&edited)
	edited.ID, edited.Code, edited.Updated = id, reg.entries[i].Code, at
	reg.entries[i] = edited
	reg.changes = slices.Insert(reg.changes, 0, change{At: at, By: by, ID: id, Holder: edited.Holder})
	reg.changes = reg.changes[:min(len(reg.changes), maxChanges)]
	return true
}

func (reg *register) recent() []change {
	reg.mu.RLock()
	defer reg.mu.RUnlock()
	return slices.Clone(reg.changes)
}

// canonicalCode is how a typed code is looked up: upper case, without spaces.
func canonicalCode(typed string) string {
	return strings.ToUpper(strings.Join(strings.Fields(typed), ""))
}
