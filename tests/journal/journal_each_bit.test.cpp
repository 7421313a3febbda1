// SPDX-License-Identifier: MIT
// Goal: a flipped bit in a file before the last one loses only the operation that it hits, in any
// order of reading. A file full of damage is not read again and again. Method: each bit of the
// first 200 operations flipped in turn; a disk that counts the bytes read.
#include <belay/journal/journal.hpp>

#include <algorithm>
#include <optional>
#include <string>

#include "support/journal/each_bit.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using BitJournal = Journal<sim::Disk>;

constexpr std::uint64_t operations_of_bits = 380;

BitJournal open_bit_journal(sim::Disk& disk, std::uint64_t seed) {
    auto journal = BitJournal::open(
        disk, "q", {.segment_bytes = 16 << 10, .record_bytes_max = 1024, .seed = Seed{seed}});
    REQUIRE(journal);
    return std::move(*journal);
}
std::string operation_text(std::uint64_t number) {
    return std::string(number % 23, 'x') + std::to_string(number);
}

/// Operations of several runs, with notes, acknowledgements and pins between them, in more than one
/// file. Returns the checks of all of them.
sim::Disk::Image make_operations(std::vector<std::uint64_t>& checks) {
    sim::Disk disk;
    std::optional<BitJournal> journal{open_bit_journal(disk, 1)};
    checks.push_back(*journal->check(0));
    for (std::uint64_t n = 1; n <= operations_of_bits; ++n) {
        REQUIRE(journal->append(as_bytes(operation_text(n))).value() == n);
        checks.push_back(*journal->check(n));
        if (n == 20) REQUIRE_FALSE(journal->ack(3));
        if (n == 21) REQUIRE_FALSE(journal->pin_store(Id{std::byte{7}}));
        if (n % 30 == 0) REQUIRE_FALSE(journal->keep(as_bytes(operation_text(n))));
        if (n % 40 == 0) REQUIRE_FALSE(journal->commit());
        if (n % 70 != 0) continue;
        // Some runs append nothing.
        for (int runs = 0; runs < 2; ++runs) {
            journal.reset();
            journal.emplace(open_bit_journal(disk, n));
        }
    }
    journal.reset();
    return disk.image();
}

/// Returns an error text if the operation is read as it should not be; empty if it is right.
std::string wrong_about(BitJournal& journal, std::uint64_t number, std::uint64_t hit) {
    const auto body = journal.read(number);
    const bool is_right = number == hit ? body.error() == QueueErrc::corrupt
                                        : body && as_text(*body) == operation_text(number);
    return is_right ? "" : "operation " + std::to_string(number);
}

}  // namespace

TEST_CASE("Journal::read returns corrupt only for the operation that a flipped bit hits",
          "[journal][journal_each_bit][regression]") {
    std::vector<std::uint64_t> checks;
    const sim::Disk::Image image = make_operations(checks);
    std::uint64_t turn = 0;
    for_each_bit(image, "q", 200, [&](sim::Disk& disk, std::uint64_t hit) {
        BitJournal journal = open_bit_journal(disk, 1000);
        std::string wrong;
        // Acknowledged operations are not read. The bit may hit one of them.
        const std::uint64_t first = journal.base();
        REQUIRE(first == 4);
        const std::uint64_t last = operations_of_bits;
        const std::uint64_t block_end = (std::max<std::uint64_t>(hit, 1) - 1) / 64 * 64 + 64;
        for (std::uint64_t n = first; n <= last && wrong.empty(); ++n) {
            // In order, backwards, or in mixed order, in which each read starts at a mark.
            const std::uint64_t number = turn % 3 == 0   ? n
                                         : turn % 3 == 1 ? block_end + 4 - n
                                                         : block_end - (n * 37) % 64;
            if (turn % 3 != 0 && n > 68) break;
            if (number >= first) wrong = wrong_about(journal, number, hit);
        }
        ++turn;
        REQUIRE(wrong == "");
        // The check of an operation covers all operations between it and the mark before it.
        for (const std::uint64_t n : {hit - 1, hit, hit + 1, block_end - 1, block_end,
                                      block_end + 1, std::uint64_t{3}, turn % last, last}) {
            if (n < first || n > last) continue;
            const bool needs_it = hit != 0 && n >= hit && n <= block_end;
            const auto check = journal.check(n);
            const bool is_right =
                needs_it ? check.error() == QueueErrc::corrupt : check && *check == checks[n];
            if (!is_right) wrong = "check " + std::to_string(n);
        }
        REQUIRE(wrong == "");
    });
}

TEST_CASE("Journal is drained in order although a flipped bit hits an operation",
          "[journal][journal_each_bit][regression]") {
    std::vector<std::uint64_t> checks;
    const sim::Disk::Image image = make_operations(checks);
    for_each_bit(image, "q", 70, [&](sim::Disk& disk, std::uint64_t hit) {
        BitJournal journal = open_bit_journal(disk, 1000);
        std::string wrong;
        for (std::uint64_t n = journal.base(); journal.size() != 0; ++n) {
            const auto body = journal.front();
            const bool is_right = n == hit ? body.error() == QueueErrc::corrupt
                                           : body && as_text(*body) == operation_text(n);
            if (!is_right) wrong = operation_text(n);
            if (journal.ack()) wrong = "ack";
        }
        REQUIRE(wrong == "");
    });
}
