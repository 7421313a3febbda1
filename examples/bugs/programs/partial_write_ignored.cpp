// SPDX-License-Identifier: MIT
// A server writes frames to all its clients without blocking, and does not look how much of a
// frame the kernel has taken. A client that reads late receives a frame in the middle of another.
#include <cerrno>

#include "programs.hpp"

namespace bugs {
namespace {

const std::string frame = "<" + std::string(8'190, '.') + ">";

struct Frames {
    int whole = 0;
    bool is_broken = false;
};

void broadcast(bool mended) {
    const int listener = listen_at(9000);
    std::map<int, std::string> unsent;
    for (;;) {
        pollfd ready{listener, POLLIN, 0};
        if (poll(&ready, 1, 50) == 1) unsent[accept(listener, nullptr, nullptr)].clear();
        for (auto at = unsent.begin(); at != unsent.end();) {
            auto& [fd, bytes] = *at;
            if (bytes.size() < 10 * frame.size()) bytes += frame;  // a slow client misses frames
            const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN) {
                close(fd);
                at = unsent.erase(at);
                continue;
            }
            bytes.erase(0, mended ? static_cast<std::size_t>(n > 0 ? n : 0) : bytes.size());
            ++at;
        }
    }
}
void watch(Frames& frames) {
    keep_connected("server", 9000, [&](int fd) {
        std::string in;
        for (char bytes[4096];;) {
            const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
            if (n <= 0) return false;
            in.append(bytes, static_cast<std::size_t>(n));
            for (; in.size() >= frame.size(); in.erase(0, frame.size())) {
                if (in.compare(0, frame.size(), frame) != 0) frames.is_broken = true;
                ++frames.whole;
            }
        }
    });
}

}  // namespace

bool partial_write_ignored(sim::World& world, bool mended) {
    Frames& frames = world.make<Frames>();
    run_program(world, "server", [mended] { broadcast(mended); });
    run_program(world, "client", [&frames] { watch(frames); });
    world.never("a frame is broken", [&] { return frames.is_broken; });
    world.run_for(4s);
    world.heal();
    return world.eventually("frames arrive", 60s,
                            [&, old = frames.whole] { return frames.whole > old; });
}

}  // namespace bugs
