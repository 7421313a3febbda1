// SPDX-License-Identifier: MIT
// A client numbers its messages with 16 bits from a random number on, as RTP does, and repeats one
// after a lost connection. The server ignores numbers that are not above the last one.
#include <random>

#include "programs.hpp"

namespace bugs {
namespace {

struct Numbered {
    int sent = 0;
    int taken = 0;
};

void take_new_ones(Numbered& n, bool mended) {
    std::map<std::string, std::uint16_t> last;  // of each session
    serve_lines(listen_at(9000), [&](Guest&, const std::string& line) {
        const std::size_t space = line.find(' ');
        const auto number = static_cast<std::uint16_t>(std::stoul(line.substr(space)));
        const auto [at, is_first] = last.try_emplace(line.substr(0, space), number);
        const auto ahead = static_cast<std::int16_t>(number - at->second);  // as by RFC 1982
        if (is_first || (mended ? ahead > 0 : number > at->second)) {
            ++n.taken;
            at->second = number;
        }
        return "taken";
    });
}
void send_numbered(Numbered& n) {
    std::random_device random;
    const std::string session = std::to_string(random()) + " ";
    auto number = static_cast<std::uint16_t>(random());
    std::string answer;
    keep_connected("server", 9000, [&](int fd) {
        while (n.sent < 300 && ask(fd, session + std::to_string(number), answer)) {
            ++number;
            ++n.sent;
            rest(10ms);
        }
        return n.sent == 300;
    });
}

}  // namespace

bool sequence_number_wraps(sim::World& world, bool mended) {
    Numbered& n = world.make<Numbered>();
    run_program(world, "server", [&n, mended] { take_new_ones(n, mended); });
    run_program(world, "client", [&n] { send_numbered(n); });
    world.run_for(4s);
    world.heal();
    return world.eventually("all is sent", 60s, [&] { return n.sent == 300; }) &&
           world.require("all is taken", n.taken >= 300);
}

}  // namespace bugs
