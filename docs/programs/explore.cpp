// SPDX-License-Identifier: MIT
#include <cstdio>
#include <memory>

#include <belay/belay.hpp>
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>
using namespace belay;
using namespace std::chrono_literals;

auto patience() { return Policy{Backoff{FullJitter{}, Cap{1s}, 100ms}}; }

struct Client {  // the program under test: it wants one answer
    Client(sim::Host& host, bool& done, bool repeats)
        : done_{done}, repeats_{repeats}, link_{{sim::Tcp{host, "server", 9000}, {.every = 1s, .dead_after = 3s}}, patience(), *this} {
        host.attach(link_);
        link_.start();
    }
    // excerpt: begin
    void on_state(auto& link, const Transition& change) {
        // The bug: after a connection is lost, the question is not sent again.
        const bool asks = change.to.state == LinkState::connected && (repeats_ || !asked_);
        if (asks) asked_ = link.send("question") == SendResult::sent;
    }
    // excerpt: end
    void on_message(const Bytes&) { done_ = true; }

private:
    bool& done_;
    bool repeats_;
    bool asked_ = false;
    Supervisor<Heartbeat<sim::Tcp>, decltype(patience()), std::reference_wrapper<Client>> link_;
};

struct Server {
    explicit Server(sim::Host& host) {
        host.listen(9000, [this, &host](sim::Accepted connection) {
            guest_ = std::make_unique<Guest>(std::move(connection), MaxAttempts{1}, Echo{});
            host.attach(*guest_);
            guest_->start();
        });
    }
    struct Echo {
        void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
    };
    using Guest = Supervisor<sim::Accepted, MaxAttempts, Echo>;
    std::unique_ptr<Guest> guest_;
};

// excerpt: begin
sim::Report run(bool repeats) {
    const sim::ExploreOptions options{.seeds = 500, .scenario = {.within = 2s}, .print = false};
    return sim::explore(options, [repeats](sim::World& world) {
        bool& done = world.make<bool>(false);
        world.host("server", [](sim::Host& h) { return std::make_unique<Server>(h); });
        world.host("client", [&](sim::Host& h) { return std::make_unique<Client>(h, done, repeats); });
        world.run_for(5s);
        world.heal();
        return world.eventually("answered", 30s, [&] { return done; });
    });
}
// excerpt: end

int main() {
    const sim::Report bug = run(false);
    std::printf("%s\n", bug ? "passed" : bug.failing->property.c_str());
    std::printf("%zu faults needed\n", bug ? 0 : bug.failing->smallest.size());
    std::printf("%s\n", run(true) ? "passed" : "failed");
}
