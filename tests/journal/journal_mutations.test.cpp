// SPDX-License-Identifier: MIT
// Goal: after any change to the bytes of a journal, the results of inspection, opening, reading and
// salvage agree. They contain no invented operation, and every reachable one. Method: small
// journals of a few runs, damaged in a few places as disks, people and chance do; every result is
// compared with the original.
#include <belay/journal/journal_inspect.hpp>
#include <belay/journal/journal_salvage.hpp>

#include <algorithm>
#include <map>
#include <set>

#include "support/journal/each_bit.hpp"
#include "support/journal/journal_model.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using journal_format::Kind;

namespace {

/// The body of an operation: noise, or an array of small integers, as in real programs.
Bytes mutated_body_of(std::uint64_t number, std::uint64_t journal) {
    Random bits{Seed{number * 1'000'003 + journal}};
    const std::uint64_t draw = bits();
    Bytes body(draw % 8 == 0 ? 0 : draw % 300);
    for (std::byte& b : body) b = static_cast<std::byte>(bits());
    for (std::size_t i = 0; draw % 3 == 0 && i + 4 <= body.size(); i += 4) {
        store_le<std::uint32_t>(body.data() + i, static_cast<std::uint32_t>(bits() % 7));
    }
    return body;
}

struct Original {
    std::uint64_t journal = 0;
    std::uint64_t last = 0;
    std::map<std::string, Bytes> files;
    std::map<std::string, std::vector<PlacedRecord>> records;

    [[nodiscard]] bool has(std::uint64_t number, BytesView body) const {
        const Bytes expected = mutated_body_of(number, journal);
        return number >= 1 && number <= last &&
               std::equal(body.begin(), body.end(), expected.begin(), expected.end());
    }
};

Original write_original(Random& bits) {
    Original original;
    original.journal = bits();
    sim::Disk disk;
    const std::uint64_t runs = 1 + bits() % 6;
    for (std::uint64_t run = 0; run < runs; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(bits()));
        REQUIRE(journal);
        const std::uint64_t operations = bits() % 3 == 0 ? bits() % 2 : bits() % 20;
        for (std::uint64_t i = 0; i < operations; ++i) {
            REQUIRE(journal->append(mutated_body_of(journal->last() + 1, original.journal)));
            if (bits() % 3 == 0) REQUIRE_FALSE(journal->commit());
            if (bits() % 16 == 0) REQUIRE_FALSE(journal->keep(Bytes(bits() % 100)));
            if (bits() % 16 == 0 && journal->size() > 4)
                REQUIRE_FALSE(journal->ack(journal->base()));
        }
        REQUIRE_FALSE(journal->commit());
        original.last = journal->last();
        if (bits() % 2 == 0) disk.kill();
    }
    for (auto& [path, bytes] : disk.image()) {
        original.files[path] = bytes;
        if (path.ends_with(journal_format::segment_suffix)) {
            original.records[path] = records_of(bytes);
        }
    }
    return original;
}

void copy_within(Bytes& bytes, std::size_t from, std::size_t to, std::size_t length) {
    length = std::min({length, bytes.size() - from, bytes.size() - to});
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(from);
    const Bytes copy(begin, begin + static_cast<std::ptrdiff_t>(length));
    std::copy(copy.begin(), copy.end(), bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

/// Damages the files in one way; returns a description of it.
std::string mutate(std::map<std::string, Bytes>& files, const Original& original, Random& bits) {
    auto chosen = original.records.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(bits() % original.records.size()));
    const auto& [path, records] = *chosen;
    Bytes& bytes = files[path];
    if (records.empty() || bytes.size() < records.back().end) return "";
    const std::size_t used = records.back().end;
    const PlacedRecord& one = records[bits() % records.size()];
    const PlacedRecord& other = records[bits() % records.size()];
    const std::size_t place = bits() % used;
    const std::string where = " of " + path + " at ";
    switch (bits() % 8) {
        case 0:
            bytes.resize(place);
            return "cut" + where + std::to_string(place);
        case 1:
            copy_within(bytes, one.offset, other.offset,
                        journal_format::record_bytes(one.header.length));
            return "record" + where + std::to_string(one.offset) + " copied to " +
                   std::to_string(other.offset);
        case 2:
            copy_within(bytes, one.offset / 512 * 512, place / 512 * 512, 512);
            return "sector" + where + std::to_string(one.offset / 512 * 512) + " copied to " +
                   std::to_string(place / 512 * 512);
        case 3: {
            const std::size_t sector = place / 512 * 512;
            for (std::size_t i = sector; i < std::min(sector + 512, bytes.size()); ++i) {
                bytes[i] = std::byte{0};
            }
            return "zeros" + where + std::to_string(sector);
        }
        case 4:
            for (std::size_t i = one.offset + journal_format::record_header_bytes; i + 4 <= one.end;
                 i += 4) {
                store_le<std::uint32_t>(bytes.data() + i, static_cast<std::uint32_t>(bits() % 7));
            }
            return "integers in the record" + where + std::to_string(one.offset);
        case 5: {
            auto with = original.records.begin();
            std::advance(with, static_cast<std::ptrdiff_t>(bits() % original.records.size()));
            std::swap(bytes, files[with->first]);
            return "swapped " + path + " and " + with->first;
        }
        default:
            bytes[place] ^= static_cast<std::byte>(1U << (bits() % 8));
            return "flip" + where + std::to_string(place);
    }
}

/// The whole operations in their places that a reader must reach although there is damage before
/// them. Their file has its header. Either no record before them is damaged, or a later record or a
/// seal shows that they were flushed.
std::set<std::uint64_t> reachable(const std::map<std::string, Bytes>& files,
                                  const Original& original) {
    std::set<std::uint64_t> numbers;
    for (const auto& segment : original.records) {
        const std::string& path = segment.first;
        const auto& records = segment.second;
        const Bytes& now = files.at(path);
        const Bytes& was = original.files.at(path);
        const auto is_whole = [&](std::size_t from, std::size_t to) {
            return to <= now.size() && std::equal(now.begin() + static_cast<std::ptrdiff_t>(from),
                                                  now.begin() + static_cast<std::ptrdiff_t>(to),
                                                  was.begin() + static_cast<std::ptrdiff_t>(from));
        };
        if (now.size() != was.size() || !is_whole(0, journal_format::segment_header_bytes))
            continue;
        std::uint64_t flushed = path == original.records.rbegin()->first ? 0 : was.size();
        for (const PlacedRecord& record : records) {
            if (record.header.kind != Kind::opening && is_whole(record.offset, record.end)) {
                flushed = std::max<std::uint64_t>(flushed, record.header.durable);
            }
        }
        bool is_first = true;
        for (std::size_t i = 0; i < records.size(); ++i) {
            const PlacedRecord& record = records[i];
            // An opening that was copied to the place before a record hides its run, unless the
            // next record has the same run.
            const auto stands = [&](std::size_t at, bool opens) {
                return is_whole(records[at].offset, records[at].end) &&
                       (opens || records[at].header.kind != Kind::opening);
            };
            const bool has_neighbour =
                i == 0 || stands(i - 1, true) || (i + 1 < records.size() && stands(i + 1, false));
            const bool whole = has_neighbour && is_whole(record.offset, record.end);
            is_first = is_first && whole;
            if (record.header.kind == Kind::operation && whole &&
                (is_first || record.end <= flushed)) {
                numbers.insert(record.header.number);
            }
        }
    }
    return numbers;
}

/// Opens the journal, and reads all of it. No value if opening rejects it.
std::optional<std::set<std::uint64_t>> read_all(const sim::Disk::Image& image,
                                                const Original& original, Verify verify,
                                                std::uint64_t& last) {
    sim::Disk disk;
    disk.restore(image);
    JournalOptions options = small_journal(3);
    options.create = false;
    options.verify = verify;
    auto journal = SimJournal::open(disk, "q", options);
    if (!journal) return std::nullopt;
    std::set<std::uint64_t> numbers;
    last = journal->last();
    REQUIRE(last <= original.last);
    for (std::uint64_t n = journal->base(); n <= last; ++n) {
        const auto body = journal->read(n);
        if (body) {
            REQUIRE(original.has(n, *body));
            numbers.insert(n);
        } else {
            REQUIRE(body.error() == QueueErrc::corrupt);
            REQUIRE(verify == Verify::tail);
        }
        if (verify == Verify::everything) REQUIRE(journal->check(n));
    }
    return numbers;
}

void check_mutated(const sim::Disk::Image& image, const Original& original,
                   const std::set<std::uint64_t>& reachable_ones) {
    sim::Disk disk;
    disk.restore(image);
    std::set<std::uint64_t> shown;
    const auto report = tool::inspect_journal(disk, "q", [&](std::uint64_t number, BytesView body) {
        REQUIRE((shown.empty() || *shown.rbegin() < number));
        REQUIRE(original.has(number, body));
        shown.insert(number);
    });
    REQUIRE(disk.image() == image);
    std::uint64_t last = 0;
    const auto everything = read_all(image, original, Verify::everything, last);
    if (!report) {
        REQUIRE_FALSE(everything);
        return;
    }
    for (const std::uint64_t number : reachable_ones) {
        INFO("operation " << number << " is whole");
        REQUIRE(shown.contains(number));
    }
    // The report shows damage if opening rejects the journal.
    REQUIRE((everything || !report->is_whole()));
    if (everything && report->is_whole()) REQUIRE(report->operations == everything->size());
    // The operations that are shown can be read if the journal opens.
    if (const auto tail = read_all(image, original, Verify::tail, last)) {
        for (const std::uint64_t number : shown) {
            INFO("operation " << number << " is shown");
            if (number > report->acked && number <= last) REQUIRE(tail->contains(number));
        }
    }
    REQUIRE(tool::salvage_journal(disk, "q", "new", small_journal(4)));
    auto salvaged = SimJournal::open(disk, "new", small_journal(5));
    REQUIRE(salvaged);
    std::uint64_t next = salvaged->base();
    for (const std::uint64_t number : shown) {
        if (number <= report->acked) continue;
        const auto body = salvaged->read(next++);
        REQUIRE(body);
        REQUIRE(original.has(number, *body));
    }
    REQUIRE(next == salvaged->last() + 1);
}

}  // namespace

TEST_CASE("Inspection, opening, reading and salvage agree on any damage, and invent no operation",
          "[journal][journal_mutations][fault]") {
    for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const Original original = write_original(bits);
            for (int i = 0; i < 8; ++i) {
                std::map<std::string, Bytes> files = original.files;
                std::string what;
                for (std::uint64_t n = 1 + bits() % 3; n != 0; --n) {
                    what += mutate(files, original, bits) + "; ";
                }
                INFO("mutation " << i << ": " << what);
                // In swapped files the numbers do not rise: some come after later ones.
                const bool is_swapped = what.find("swapped") != std::string::npos;
                check_mutated({files.begin(), files.end()}, original,
                              is_swapped ? std::set<std::uint64_t>{} : reachable(files, original));
            }
        },
        400);
}
