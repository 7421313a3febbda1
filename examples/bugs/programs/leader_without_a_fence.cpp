// SPDX-License-Identifier: MIT
// Two workers compete for a lease of 1 s, and its owner writes to a store. The lease may end
// between the check of a worker and its write, and the store does not compare the terms.
#include <algorithm>

#include "programs.hpp"

namespace bugs {
namespace {

struct FencedStore {
    int term = 0;  ///< of the last write
    int writes = 0;
    bool went_back = false;
};

void lend() {
    std::string owner;
    SteadyTime until{};
    int term = 0;
    serve_lines(listen_at(7000), [&](Guest&, const std::string& name) {
        if (name != owner && steady_now() < until) return std::string{"no"};
        if (name != owner) ++term;
        owner = name;
        until = steady_now() + 1s;
        return std::to_string(term);
    });
}
bool has_lease(const std::string& name, std::string& term) {
    const int lock = dial("lock", 7000);
    const bool has_it = lock >= 0 && ask(lock, name, term) && term != "no";
    if (lock >= 0) close(lock);
    return has_it;
}
void lead(const std::string& name) {
    keep_connected("store", 8000, [&](int store) {
        std::string term, answer;
        for (SteadyTime now{}, until{}; now >= until || ask(store, term, answer);) {
            now = steady_now();
            if (now >= until && has_lease(name, term)) until = now + 1s;
            rest(50ms);  // prepares the write
        }
        return false;
    });
}

}  // namespace

bool leader_without_a_fence(sim::World& world, bool mended) {
    FencedStore& store = world.make<FencedStore>();
    run_program(world, "lock", lend);
    run_program(world, "store", [&store, mended] {
        serve_lines(listen_at(8000), [&](Guest&, const std::string& line) {
            const int term = std::stoi(line);
            if (mended && term < store.term) return "no";
            store.went_back = store.went_back || term < store.term;
            store.term = std::max(store.term, term);
            ++store.writes;
            return "stored";
        });
    });
    for (const char* name : {"a", "b"}) run_program(world, name, [name] { lead(name); });
    world.never("a former leader writes", [&] { return store.went_back; });
    world.run_for(4s);
    world.heal();
    return world.eventually("a leader writes", 60s,
                            [&, old = store.writes] { return store.writes > old; });
}

}  // namespace bugs
