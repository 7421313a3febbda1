// SPDX-License-Identifier: MIT
// A primary confirms a write although its backup has not answered, and the backup answers reads.
#include <algorithm>

#include "programs.hpp"

namespace bugs {
namespace {

struct Reads {
    int at_backup = 0;  ///< the database of the backup: it outlives the program
    int confirmed = 0;
    int reads = 0;
    bool is_stale = false;
};

void store_at_backup(int& value) {
    serve_lines(listen_at(8000), [&](Guest&, const std::string& line) {
        if (line != "read") value = std::max(value, std::stoi(line));
        return std::to_string(value);
    });
}
void store_at_both(bool mended) {
    int backup = -1;
    serve_lines(listen_at(7000), [&](Guest&, const std::string& line) {
        std::string answer;
        if (backup < 0) backup = dial("backup", 8000);
        const bool is_at_backup = backup >= 0 && ask(backup, line, answer);
        if (!is_at_backup && backup >= 0) close(std::exchange(backup, -1));
        return is_at_backup || !mended ? "stored" : "failed";
    });
}
void write_and_read(Reads& seen) {
    int backup = -1;
    int number = 0;
    keep_connected("primary", 7000, [&](int primary) {
        std::string answer;
        while (ask(primary, std::to_string(++number), answer)) {
            if (answer == "stored") seen.confirmed = number;
            if (backup < 0) backup = dial("backup", 8000);
            if (backup >= 0 && ask(backup, "read", answer)) {
                ++seen.reads;
                seen.is_stale = seen.is_stale || std::stoi(answer) < seen.confirmed;
            } else if (backup >= 0) {
                close(std::exchange(backup, -1));
            }
            rest(10ms);
        }
        return false;
    });
}

}  // namespace

bool stale_read_after_partition(sim::World& world, bool mended) {
    Reads& seen = world.make<Reads>();
    run_program(world, "backup", [&seen] { store_at_backup(seen.at_backup); });
    run_program(world, "primary", [mended] { store_at_both(mended); });
    run_program(world, "client", [&seen] { write_and_read(seen); });
    world.never("a read is older than a confirmed write", [&] { return seen.is_stale; });
    world.run_for(4s);
    world.heal();
    return world.eventually("reads continue", 60s,
                            [&, old = seen.reads] { return seen.reads > old; });
}

}  // namespace bugs
