// SPDX-License-Identifier: MIT
// A worker counts the time of its lease by the wall clock. After a step of that clock, it works on
// although the lease has ended.
#include "programs.hpp"

namespace bugs {
namespace {

struct Leased {
    SteadyTime until{};  ///< as the server counts it
    int works = 0;
    bool is_late = false;
};

template <class Clock>
void work_in_leases(Leased& lease) {
    std::string answer;
    keep_connected("lender", 7000, [&](int fd) {
        for (typename Clock::time_point until{};;) {
            const auto now = Clock::now();
            if (now > until - 300ms) {
                if (!ask(fd, "lease", answer)) return false;
                until = now + 1s;
            }
            rest(20ms);
            if (Clock::now() > until) continue;
            ++lease.works;
            lease.is_late = lease.is_late || steady_now() > lease.until;
        }
    });
}

}  // namespace

bool lease_by_wall_clock(sim::World& world, bool mended) {
    Leased& lease = world.make<Leased>();
    run_program(world, "lender", [&lease] {
        serve_lines(listen_at(7000), [&](Guest&, const std::string&) {
            lease.until = steady_now() + 1s;
            return "yours";
        });
    });
    run_program(world, "worker", [&lease, mended] {
        mended ? work_in_leases<std::chrono::steady_clock>(lease)
               : work_in_leases<std::chrono::system_clock>(lease);
    });
    world.never("work without a lease", [&] { return lease.is_late; });
    world.run_for(4s);
    world.heal();
    return world.eventually("work goes on", 60s,
                            [&, old = lease.works] { return lease.works > old; });
}

}  // namespace bugs
