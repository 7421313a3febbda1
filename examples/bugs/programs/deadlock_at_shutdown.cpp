// SPDX-License-Identifier: MIT
// A server that stops sends "bye" to its clients, and waits until all have gone. A client that
// connects after that never receives it: each waits for the other.
#include "programs.hpp"

namespace bugs {
namespace {

void serve_for_two_seconds(bool& has_ended, bool mended) {
    const int listener = listen_at(9000);
    std::set<int> clients;
    const SteadyTime end = steady_now() + 2s;
    const SteadyTime limit = mended ? end + 1s : SteadyTime::max();
    for (bool stops = false; (!stops || !clients.empty()) && steady_now() < limit;) {
        std::vector<pollfd> ready{{listener, POLLIN, 0}};
        for (const int fd : clients) ready.push_back({fd, POLLIN, 0});
        poll(ready.data(), ready.size(), 100);
        for (const pollfd& r : ready) {
            char byte = 0;
            if (r.revents == 0) continue;
            if (r.fd == listener) {
                clients.insert(accept(listener, nullptr, nullptr));
            } else if (recv(r.fd, &byte, 1, 0) <= 0 || !put(r.fd, "here\n")) {
                close(r.fd);
                clients.erase(r.fd);
            }
        }
        if (stops || steady_now() < end) continue;
        stops = true;
        for (const int fd : clients) put(fd, "bye\n");
    }
    has_ended = true;
}
void stay_until_bye() {
    keep_connected("server", 9000, [](int fd) {
        std::string answer;
        while (put(fd, "?") && get_line(fd, answer) && answer != "bye") rest(50ms);
        return answer == "bye";
    });
}

}  // namespace

bool deadlock_at_shutdown(sim::World& world, bool mended) {
    bool& has_ended = world.make<bool>(false);
    run_program(world, "server",
                [&has_ended, mended] { serve_for_two_seconds(has_ended, mended); });
    for (const char* name : {"a", "b"}) run_program(world, name, stay_until_bye);
    world.run_for(4s);
    world.heal();
    return world.eventually("the server ends", 60s, [&] { return has_ended; });
}

}  // namespace bugs
