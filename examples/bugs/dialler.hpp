// SPDX-License-Identifier: MIT
// A client that keeps a connection open by timers of its own, and a server that accepts it. Each
// program adds one mistake.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "counter.hpp"

namespace bugs {

struct DiallerOptions {
    bool gives_up_attempts = true;  ///< before the next attempt begins
    bool cancels_attempts = true;   ///< when the user stops the client
};

class Dialler {
public:
    Dialler(Observed& observed, sim::Host& host, DiallerOptions options)
        : observed_{observed}, host_{host}, options_{options} {
        dial();
    }
    /// The user wants no connection any more.
    void stop() {
        stopped_ = true;
        if (options_.cancels_attempts) next_.cancel();
        attempts_.clear();
    }
    [[nodiscard]] bool is_connected() const {
        return std::any_of(attempts_.begin(), attempts_.end(),
                           [](const auto& attempt) { return attempt->is_open; });
    }

private:
    struct Attempt {
        explicit Attempt(Dialler& d)
            : dialler{d},
              link{{sim::Tcp{d.host_, "server", 9000}, {.every = 300ms, .dead_after = 900ms}},
                   MaxAttempts{1},
                   {},
                   *this} {
            d.host_.attach(link);
            link.start();
        }
        ~Attempt() { open(false); }
        void on_state(auto&, const Transition& change) {
            open(change.to.state == LinkState::connected);
            if (change.to.state == LinkState::failed) dialler.dial_after(200ms);
        }
        void open(bool is) {
            if (std::exchange(is_open, is) == is) return;
            is ? dialler.observed_.history.open("client")
               : dialler.observed_.history.close("client");
            dialler.observed_.world.require("a stopped client stays stopped",
                                            !is || !dialler.stopped_);
        }
        Dialler& dialler;
        bool is_open = false;
        Supervisor<Heartbeat<sim::Tcp>, MaxAttempts, std::reference_wrapper<Attempt>> link;
    };

    void dial() {
        if (options_.gives_up_attempts) attempts_.clear();
        attempts_.push_back(std::make_unique<Attempt>(*this));
        dial_after(500ms);
    }
    void dial_after(Duration wait) {
        next_.cancel();
        next_ = host_.after(wait, [this] {
            if (!is_connected()) dial();
        });
    }

    Observed& observed_;
    sim::Host& host_;
    DiallerOptions options_;
    std::vector<std::unique_ptr<Attempt>> attempts_;
    Timer next_;
    bool stopped_ = false;
};

/// Runs a client and a server through the faults. If `stop_at` is a time, the user stops the client.
inline bool run_dialler(sim::World& world, DiallerOptions options, Duration stop_at = forever) {
    struct Nothing {
        bool take(std::uint64_t) { return false; }
    };
    auto& observed = world.make<Observed>(world);
    world.host("server",
               [](sim::Host& host) { return std::make_unique<Server<Nothing>>(host, Nothing{}); });
    auto& client = world.host("client", [&observed, options](sim::Host& host) {
        return std::make_unique<Dialler>(observed, host, options);
    });
    world.always("one live connection",
                 [&observed] { return one_live_connection(observed.history); });
    if (stop_at != forever) {
        world.after(stop_at, [&client] {
            if (auto* const dialler = client.process<Dialler>()) dialler->stop();
        });
    }
    world.run_for(5s);
    world.heal();
    world.restart(client);
    return world.eventually("connected", 60s, [&client] {
        const auto* const dialler = client.process<Dialler>();
        return dialler != nullptr && dialler->is_connected();
    });
}

}  // namespace bugs
