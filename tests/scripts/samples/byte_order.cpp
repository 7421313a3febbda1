// SPDX-License-Identifier: MIT
// Writes a journal and a work queue with everything that their formats have, or reads them, says
// whether all is there, and goes on.
//     byte_order write DIR | byte_order read DIR
// The same program, built for machines of both byte orders, must write the same bytes, both times.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include <belay/posix.hpp>
#include <belay/work/work_queue.hpp>

namespace {

using namespace belay;
using namespace std::chrono_literals;

constexpr std::uint64_t operations = 300;
constexpr std::uint64_t acknowledged = 37;
constexpr Id store{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{0xFE}};

Bytes body_of(std::uint64_t number) {
    Bytes body(static_cast<std::size_t>(number % 97));
    for (std::size_t i = 0; i < body.size(); ++i) {
        body[i] = static_cast<std::byte>(number * 31 + i);
    }
    return body;
}

Result<posix::Journal, JournalError> open(const std::string& directory, std::uint64_t seed) {
    return posix::Journal::open(
        directory, {.segment_bytes = 8192, .record_bytes_max = 512, .seed = Seed{seed}});
}

bool fail(const char* what) {
    std::fprintf(stderr, "byte_order: %s\n", what);
    return false;
}

bool write_journal(const std::string& directory) {
    for (std::uint64_t run = 0; run < 3; ++run) {
        auto journal = open(directory, 7 + run);
        if (!journal) return fail(journal.error().message().c_str());
        for (std::uint64_t i = 1; i <= operations / 3; ++i) {
            const Result<std::uint64_t> number = journal->append(body_of(run * operations / 3 + i));
            if (!number) return fail("append failed");
            if (*number % 40 == 0 && journal->commit()) return fail("sync failed");
        }
        if (run == 1 && journal->pin_store(store)) return fail("pin_store failed");
        if (run == 1 && journal->ack(acknowledged)) return fail("ack failed");
        if (run == 1 && journal->keep(as_bytes("a note"))) return fail("keep failed");
        if (journal->commit()) return fail("sync failed");
    }
    return true;
}

bool read_journal(const std::string& directory) {
    auto journal = open(directory, 99);
    if (!journal) return fail(journal.error().message().c_str());
    if (journal->last() != operations || journal->base() != acknowledged + 1) {
        return fail("other numbers");
    }
    if (as_text(journal->kept()) != "a note") return fail("another note");
    // The same on both machines, since the seeds are.
    if (*journal->check(operations) != 0x7866DCCC841AB8D6U) return fail("another check");
    if (journal->store_pin() != store || journal->run() != 4) return fail("another pin or run");
    for (std::uint64_t number = journal->base(); number <= operations; ++number) {
        const Result<BytesView> body = journal->read(number);
        const Bytes expected = body_of(number);
        if (!body || body->size() != expected.size() ||
            (!expected.empty() &&
             std::memcmp(body->data(), expected.data(), expected.size()) != 0)) {
            return fail("another body");
        }
    }
    return true;
}

// ---- a work queue -------------------------------------------------------------------------------

using Work = WorkQueue<posix::Journal>;

constexpr std::uint64_t passed = 200;  // items that were done, each with a key
constexpr std::uint64_t keys = 16;     // as many of them are remembered

Moment at(Duration passed_since) {
    return {Instant{100s} + passed_since, WallTime{1'700'000'000s} + passed_since};
}

/// Of all lengths: above 64 bytes a key is hashed twice.
std::string key_of(std::uint64_t number) {
    return std::to_string(number) + std::string(static_cast<std::size_t>(number * 7 % 90), 'k');
}

/// Nothing if it cannot be opened; says so.   `kinds`: a bit for each kind of entry in its log.
std::optional<Work> open_work(const std::string& directory, std::uint64_t seed, Duration time,
                              unsigned& kinds) {
    auto journal = open(directory, seed);
    if (!journal) return fail(journal.error().message().c_str()), std::nullopt;
    for (std::uint64_t number = journal->base(); number <= journal->last(); ++number) {
        const Result<BytesView> entry = journal->read(number);
        if (entry) kinds |= 1U << static_cast<unsigned>((*entry)[0]);
    }
    auto work = Work::open(std::move(*journal),
                           {.lease = 24h,
                            .deliveries_max = 2,
                            .keys = keys,
                            .record_bytes_max = 512,
                            .slack_bytes = 2000},
                           at(time));
    if (!work) return fail(work.error().message().c_str()), std::nullopt;
    return std::move(*work);
}

/// The first item is copied forward, two more die, one is delayed, and one is given back.
bool write_work(const std::string& directory) {
    unsigned kinds = 0;
    auto work = open_work(directory, 21, 0s, kinds);
    if (!work) return false;
    if (!work->push(as_bytes("old"), at(0s)) ||
        !work->push(as_bytes("expires"), at(0s), {.expires_after = 60s}) ||
        !work->push(as_bytes("poison"), at(0s), {.key = "poison"}) ||
        !work->push(as_bytes("delayed"), at(0s), {.delay = 1h})) {
        return fail("push failed");
    }
    const auto old = work->lease(at(0s));
    if (!old || old->id != 1) return fail("the old item is not lent");
    // The lease that finds the expired one goes on to the next.
    for (int i = 0; i < 2; ++i) {
        const auto poison = work->lease(at(61s));
        if (!poison || poison->id != 3 || work->nack(*poison, at(61s))) return fail("nack failed");
    }
    for (std::uint64_t n = 1; n <= passed; ++n) {
        if (!work->push(body_of(n), at(62s), {.key = key_of(n)})) return fail("push failed");
        const auto lease = work->lease(at(62s));
        if (!lease || work->ack(*lease)) return fail("ack failed");
        if (n % 10 == 0 && work->commit()) return fail("sync failed");
    }
    if (!work->push(as_bytes("again"), at(62s))) return fail("push failed");
    const auto again = work->lease(at(62s));
    if (!again || work->nack(*again, at(62s), 30min)) return fail("nack failed");
    return !work->commit() || fail("sync failed");
}

bool has_dead(Work& work, std::uint64_t id, DeathCause cause) {
    bool found = false;
    const auto look = [&](const WorkItem& item) {
        found = found || (item.id == id && item.cause == cause);
    };
    return !work.for_each_dead(look) && found;
}

bool read_work(const std::string& directory) {
    unsigned kinds = 0;
    auto work = open_work(directory, 22, 10min, kinds);
    if (!work) return false;
    if (kinds != 0b111110U) return fail("not all kinds of entries");
    if (work->size() != 3 || work->delayed() != 2 || work->dead() != 2 ||
        work->deadline() != always || !has_dead(*work, 2, DeathCause::expired) ||
        !has_dead(*work, 3, DeathCause::failed)) {
        return fail("other items");
    }
    for (std::uint64_t n = passed - keys + 1; n <= passed; ++n) {
        const Moment now = at(10min);
        const std::string key = key_of(n);
        const PushOptions with{.key = key};
        if (work->push(body_of(n), now, with).error() != QueueErrc::duplicate ||
            work->push(body_of(n + 1), now, with).error() != QueueErrc::key_conflict) {
            return fail("other keys");
        }
    }
    // And on.
    const auto old = work->lease(at(10min));
    if (!old || as_text(old->body) != "old" || old->pushed != at(0s).wall || work->ack(*old)) {
        return fail("another old item");
    }
    if (work->deadline() != at(62s + 30min).now) return fail("another delay");
    const auto again = work->lease(at(62s + 30min));
    if (!again || as_text(again->body) != "again" || again->delivery != 2 || work->ack(*again) ||
        work->deadline() != at(1h).now) {
        return fail("another item that was given back");
    }
    const auto delayed = work->lease(at(1h));
    if (!delayed || as_text(delayed->body) != "delayed" || work->nack(*delayed, at(1h), 5s)) {
        return fail("another delayed item");
    }
    if (work->revive(3, at(1h)) || as_text(work->peek()->body) != "poison") {
        return fail("revive failed");
    }
    if (!work->push(as_bytes("new"), at(1h), {.key = "new", .delay = 1s, .expires_after = 2h})) {
        return fail("push failed");
    }
    return !work->commit() || fail("sync failed");
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc == 3 ? argv[1] : "";
    const std::filesystem::path directory = argc == 3 ? argv[2] : "";
    if (what == "write") {
        std::filesystem::create_directories(directory);
        return write_journal(directory / "journal") && write_work(directory / "work") ? 0 : 1;
    }
    if (what == "read") {
        return read_journal(directory / "journal") && read_work(directory / "work") ? 0 : 1;
    }
    std::fputs("usage: byte_order write|read DIR\n", stderr);
    return 2;
}
