// SPDX-License-Identifier: MIT
// How long it takes to open a journal that has much in it, beside LevelDB with the same operations.
#include <memory>
#include <optional>

#include <benchmark/benchmark.h>

#include "queue/compared_queues.hpp"

using namespace belay;

namespace {

using belay_bench::Payloads;
using belay_bench::Scratch;

/// A journal of a million operations of 256 bytes, made once for all that open it.
class Large {
public:
    static constexpr std::uint64_t operations = 1'000'000;

    static std::string path() {
        static const Large large;
        return large.scratch_ / "journal";
    }

private:
    Large() {
        auto journal = posix::Journal::open(scratch_ / "journal", {.flush = Flush::none});
        Payloads payloads{1};
        for (std::uint64_t i = 0; i < operations; ++i) {
            static_cast<void>(journal->append(payloads.next()));
        }
        // So that no opening waits for the disk to write all this.
        static_cast<void>(journal->flush());
    }

    Scratch scratch_;
};

/// Opening it, its files in the system's memory. The flush of the opening is a part of it.
void open_journal(benchmark::State& state, Verify verify) {
    const std::string path = Large::path();
    belay_bench::time_openings(state, Large::operations, [&]() -> std::optional<posix::Journal> {
        auto journal = posix::Journal::open(path, {.verify = verify});
        if (!journal || journal->size() != Large::operations) return std::nullopt;
        return std::move(*journal);
    });
}
BENCHMARK_CAPTURE(open_journal, tail, Verify::tail)
    ->Name("journal/journal/open_tail/belay")
    ->UseRealTime();
BENCHMARK_CAPTURE(open_journal, everything, Verify::everything)
    ->Name("journal/journal/open_everything/belay")
    ->UseRealTime();

#if __has_include(<leveldb/db.h>)
/// The same operations in LevelDB's log, none of them in a table yet. Recovery reads the log,
/// compares each checksum, and goes on with it: with `reuse_logs` it writes no table, which is the
/// quickest that it can, and leaves the next opening the same work.
class LargeDb {
public:
    static std::unique_ptr<leveldb::DB> open() {
        static const LargeDb large;
        return open_at(large.scratch_ / "db");
    }
    static std::string key_of(std::uint64_t number) {
        const std::array<char, 8> key = belay_bench::sorted_key(number);
        return {key.data(), key.size()};
    }

private:
    LargeDb() {
        const std::unique_ptr<leveldb::DB> db = open_at(scratch_ / "db");
        Payloads payloads{1};
        for (std::uint64_t i = 0; i < Large::operations; ++i) {
            leveldb::WriteOptions options;
            options.sync = i + 1 == Large::operations;
            const std::string_view payload = as_text(payloads.next());
            const leveldb::Slice body{payload.data(), payload.size()};
            static_cast<void>(db->Put(options, key_of(i), body));
        }
    }
    static std::unique_ptr<leveldb::DB> open_at(const std::string& path) {
        leveldb::Options options;
        options.create_if_missing = true;
        options.paranoid_checks = true;
        options.reuse_logs = true;
        options.write_buffer_size = std::size_t{1} << 30;
        leveldb::DB* db = nullptr;
        static_cast<void>(leveldb::DB::Open(options, path, &db));
        return std::unique_ptr<leveldb::DB>{db};
    }

    Scratch scratch_;
};

void open_leveldb(benchmark::State& state) {
    static_cast<void>(LargeDb::open());
    std::string body;
    belay_bench::time_openings(state, Large::operations, [&] {
        std::optional<std::unique_ptr<leveldb::DB>> db{LargeDb::open()};
        const std::string last = LargeDb::key_of(Large::operations - 1);
        if (*db == nullptr || !(*db)->Get({}, last, &body).ok()) db.reset();
        return db;
    });
}
BENCHMARK(open_leveldb)->Name("journal/journal/open_everything/leveldb")->UseRealTime();
#endif

}  // namespace
