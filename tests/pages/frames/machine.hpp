// SPDX-License-Identifier: MIT
// For the pages on machines, drivers and pools: a user's machine, link and pool.
#pragma once

#include <list>
#include <string>
#include <vector>

#include <belay/core/machine_group.hpp>
#include <belay/fleet.hpp>

#include "usual.hpp"

namespace frames::machine {

struct Service {
    std::string name;
};
struct Member {  // a machine
    explicit Member(Service);
    void attach(Waker);
    Instant deadline() const noexcept;
    void advance(Instant);
};

struct Grant {
    bool may_enter;
};
struct Authorizer {
    void check(std::string name, Completion<Grant> answer);
};

extern Member link;
extern bool playing;
void draw();

inline Pool pool{posix::Tcp{loop, {"db.example.org", 5432}}, policy, {.size = 4}};
extern const Bytes question;
extern std::size_t asked_on;

extern std::list<Supervisor<posix::Accepted<>, MaxAttempts>> guests;

}  // namespace frames::machine
