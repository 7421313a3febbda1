// SPDX-License-Identifier: MIT
// The server replaces a file by writing a new one and renaming it, and does not sync the directory.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {
namespace {

class Replaced {
public:
    Replaced(sim::Host& host, Observed& observed, bool mended)
        : disk_{host.disk()}, mended_{mended} {
        last_ = number_in(disk_.contents("data/state"));
        require_no_loss(observed, last_);
    }
    bool take(std::uint64_t number) {
        if (number != last_ + 1) return number <= last_;
        auto file = disk_.open("data/state.new", OpenMode::replace);
        const std::string text = std::to_string(number);
        if (!file || file->write(0, as_bytes(text)) || file->sync()) return false;
        if (disk_.rename("data/state.new", "data/state")) return false;
        if (mended_ && disk_.sync_directory("data")) return false;
        last_ = number;
        return true;
    }

private:
    sim::Disk& disk_;
    bool mended_;
    std::uint64_t last_ = 0;
};

}  // namespace

bool rename_without_directory_sync(sim::World& world, bool mended) {
    return run_counter(world, {}, [mended](sim::Host& host, Observed& observed) {
        return Replaced{host, observed, mended};
    });
}

}  // namespace bugs
