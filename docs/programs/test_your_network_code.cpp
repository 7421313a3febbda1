// SPDX-License-Identifier: MIT
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <belay/belay.hpp>
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>
using namespace belay;
using namespace std::chrono_literals;

constexpr int readings = 500;

using Ledger = std::vector<int>;  // the server's database: it outlives the server

auto patience() { return Policy{Backoff{FullJitter{}, Cap{1s}, 100ms}}; }

class Client {  // sends readings 1 to 500, one after the other
public:
    Client(sim::Host& host, int fixes) : fixes_{fixes}, link_{{sim::Tcp{host, "server", 9000}, silence(fixes)}, patience(), *this} {
        host.attach(link_);
        link_.start();
    }
    bool done() const { return sent_ == readings; }
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) send_next(link);
    }
    // excerpt: begin
    void on_message(auto& link, const Bytes&) {  // the server has stored the reading
        if (fixes_ >= 1) ++sent_;
        send_next(link);
    }

private:
    void send_next(auto& link) {
        if (done()) return;
        const bool taken = link.send(std::to_string(sent_ + 1)) == SendResult::sent;
        if (fixes_ < 1 && taken) ++sent_;  // bug 1: sent is not stored
    }
    static HeartbeatOptions silence(int fixes) {  // bug 3: a silent server goes unnoticed
        return fixes >= 3 ? HeartbeatOptions{.every = 1s, .dead_after = 3s} : HeartbeatOptions{.every = 10h, .dead_after = 24h};
    }
    // excerpt: end

    int fixes_;
    int sent_ = 0;
    Supervisor<Heartbeat<sim::Tcp>, decltype(patience()), std::reference_wrapper<Client>> link_;
};

struct Server {
    Server(sim::Host& host, Ledger& ledger, int fixes) {
        host.listen(9000, [this, &host, &ledger, fixes](sim::Accepted connection) {
            guest_ = std::make_unique<Guest>(std::move(connection), MaxAttempts{1}, Store{ledger, fixes});
            host.attach(*guest_);
            guest_->start();
        });
    }
    struct Store {
        Ledger& ledger;
        int fixes;
        // excerpt: begin
        void on_message(auto& link, const Bytes& message) {
            const int number = std::stoi(std::string{as_text(message)});
            const bool known = !ledger.empty() && number <= ledger.back();
            if (fixes < 2 || !known) ledger.push_back(number);  // bug 2: a repetition is stored, too
            static_cast<void>(link.send("stored"));
        }
        // excerpt: end
    };
    using Guest = Supervisor<sim::Accepted, MaxAttempts, Store>;
    std::unique_ptr<Guest> guest_;
};

// excerpt: begin
sim::Report run(int fixes) {
    const sim::ExploreOptions options{.seeds = 500, .scenario = {.within = 3s}, .print = false};
    return sim::explore(options, [fixes](sim::World& world) {
        Ledger& ledger = world.make<Ledger>();
        world.host("server", [&](sim::Host& h) { return std::make_unique<Server>(h, ledger, fixes); });
        sim::Host& host = world.host("client", [fixes](sim::Host& h) { return std::make_unique<Client>(h, fixes); });
        world.run_for(3s);  // faults happen
        world.heal();       // and end
        const auto done = [&] { return host.process<Client>() && host.process<Client>()->done(); };
        if (!world.eventually("all is sent", 60s, done)) return false;
        world.run_for(1s);  // the last reading arrives
        const std::set<int> distinct{ledger.begin(), ledger.end()};
        return world.require("no reading is lost", distinct.size() == readings) &&
               world.require("no reading is stored twice", distinct.size() == ledger.size());
    });
}
// excerpt: end

int main() {
    for (int fixes = 0; fixes <= 3; ++fixes) {
        const sim::Report report = run(fixes);
        std::printf("%d fixes: %s\n", fixes, report ? "all seeds pass" : report.failing->property.c_str());
        if (!report) std::printf("%s\n", sim::to_cpp(report.failing->smallest).c_str());
    }
}
