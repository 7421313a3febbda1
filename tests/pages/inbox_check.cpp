// SPDX-License-Identifier: MIT
// The ledger of docs/how-to/into-a-work-queue.md that fills a work queue, under check::ledger: on a disk whose power fails at every second
// reopening, while items end.
#include <algorithm>
#include <string_view>

#define main page_main
#include BELAY_INBOX_PAGE
#undef main

#include <belay/session/ledger_check.hpp>
#include <belay/sim.hpp>

namespace {

struct Tested : Inbox<sim::Disk> {
    Tested(Inbox inbox, std::int64_t& ended_items, Random& random_bits)
        : Inbox{std::move(inbox)}, ended{&ended_items}, bits{&random_bits} {}
    std::error_code commit() {
        if (const std::error_code error = Inbox::commit()) return error;
        if (uniform_upto(*bits, 2) == 0) work([this](std::string_view) { return ++*ended, true; });
        return {};
    }
    std::int64_t* ended;
    Random* bits;
};

bool is_right(std::uint64_t seed) {
    sim::Disk disk;
    Random bits{Seed{seed}};
    std::uint64_t openings = 0;
    std::int64_t ended = 0;
    const auto inbox = [&] {
        auto journal = Journal<sim::Disk>::open(disk, "inbox", {.seed = Seed{++openings}}).value();
        return Tested{Inbox<sim::Disk>::load(std::move(journal)).value(), ended, bits};
    };
    const auto fault = check::ledger(
        [&] {
            disk.restore({});
            ended = 0;
            return inbox();
        },
        [&] {
            if (openings % 2 == 0) disk.crash(bits);
            return inbox();
        },
        [&](const Tested& ledger) {
            return static_cast<std::int64_t>(ledger.items().size()) + ended;
        },
        {.histories = 5, .senders = 1, .operation = [](Random&) { return Bytes(1); }});
    if (fault) std::printf("seed %d: %s\n", static_cast<int>(seed), to_string(fault->rule));
    return !fault;
}

}  // namespace

int main() { return is_right(1) && is_right(2) && is_right(3) ? 0 : 1; }
