// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/sim/exhaust.hpp>
using namespace belay;

struct Mail {  // a sender, a receiver, and a wire with one place in each direction
    bool retries = true;
    int losses = 2;
    bool request = false, answer = false;  // on the wire
    int applied = 0;
    bool acknowledged = false;

    // excerpt: begin
    void step(sim::Choice& choice) {
        switch (choice.choose({"send", "arrive", "answer arrives", "lose"})) {
            case 0:  // the sender sends if nothing is on its way
                if (acknowledged || request || answer || (!retries && losses < 2)) return choice.impossible();
                request = true;
                break;
            case 1:
                if (!request) return choice.impossible();
                request = choice.choose({"once", "and comes again"}) == 1 && applied == 0;
                applied += applied == 0;  // the receiver ignores what it has
                answer = true;
                break;
            case 2:
                if (!answer) return choice.impossible();
                answer = false;
                acknowledged = true;
                break;
            default:
                choice.unfair();  // a fault, which nobody may rely on
                if (losses == 0 || !(request || answer)) return choice.impossible();
                --losses;
                request = answer = false;
        }
        choice.require(applied <= 1, "it is applied once");
        choice.require(!acknowledged || applied == 1, "what is acknowledged is applied");
    }
    void digest(sim::Digest& digest) const {
        for (const bool flag : {retries, request, answer, acknowledged}) digest(flag);
        digest(losses);
        digest(applied);
    }
    bool settled() const { return acknowledged && !request; }
    // excerpt: end
};

int main() {
    // excerpt: begin
    const sim::ExhaustReport report = sim::exhaust({.depth = 50, .print = false}, Mail{});
    // excerpt: end
    Mail careless;
    careless.retries = false;
    const sim::ExhaustReport failure = sim::exhaust({.depth = 50, .print = false}, careless);
    std::fputs((report.summary() + "\n" + failure.text()).c_str(), stdout);
    return report && report.complete && !failure ? 0 : 1;
}
