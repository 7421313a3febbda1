// SPDX-License-Identifier: MIT
// Servers of simulated worlds that send nothing.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/host.hpp>

namespace belay_test {

/// Accepts every connection at port 1, and sends nothing.
class SilentServer {
    using Served = belay::Supervisor<belay::sim::Accepted, belay::MaxAttempts>;

public:
    explicit SilentServer(belay::sim::Host& host) {
        host.listen(1, [this, &host](belay::sim::Accepted connection) {
            served_.push_back(
                std::make_unique<Served>(std::move(connection), belay::MaxAttempts{1}));
            host.attach(*served_.back());
            served_.back()->start();
        });
    }

private:
    std::vector<std::unique_ptr<Served>> served_{};
};

/// Accepts every connection at port 1, and closes it at once.
class ClosingServer {
public:
    explicit ClosingServer(belay::sim::Host& host) {
        host.listen(1, [](belay::sim::Accepted) {});
    }
};

}  // namespace belay_test
