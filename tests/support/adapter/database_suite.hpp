// SPDX-License-Identifier: MIT
/// \file tests/support/adapter/database_suite.hpp
/// What SqliteStorage and LmdbStorage have in common, as functions over `Db`.
#pragma once

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include <belay/core/random.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/journal/kill_at_work.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

namespace belay_test {

// A Db has the types Storage, Options and System, and two values of Options: with `full` each
// change is flushed; with `fast` it is not, for what needs no loss of power. While a System lives,
// System::flushes counts, and of the writes and flushes the one after System::countdown others
// fails; with -1, none.

inline std::error_code push(auto& storage, const std::string& text) {
    return storage.try_push(belay::as_bytes(text));
}
/// The oldest operation, or why there is none.
inline std::string first_of(auto& storage) {
    const auto body = storage.front();
    return body ? std::string{belay::as_text(*body)} : body.error().message();
}

template <class Db>
typename Db::Storage opened(const std::string& path, typename Db::Options options = Db::fast) {
    auto storage = Db::Storage::open(path, options);
    INFO((storage ? "" : storage.error().message()));
    REQUIRE(storage);
    return std::move(*storage);
}
/// Why the file does not open.
template <class Db>
auto refused(const std::string& path, typename Db::Options options = Db::fast) {
    auto storage = Db::Storage::open(path, options);
    REQUIRE_FALSE(storage);
    return storage.error();
}
/// Pushes the operations 1 to `count`.
template <class Db>
void fill(const std::string& path, std::uint64_t count) {
    auto storage = opened<Db>(path);
    for (std::uint64_t n = 1; n <= count; ++n) REQUIRE_FALSE(push(storage, text_for(n)));
}
inline std::string bytes_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

/// It is a storage, also when it is opened anew in between.
template <class Db>
void check_database_conforms() {
    const TemporaryDirectory dir;
    int made = 0;
    for (const bool full : {true, false}) {
        const auto open = [&] {
            return opened<Db>(dir / std::to_string(made), full ? Db::full : Db::fast);
        };
        check_storage_conformance(
            [&] {
                ++made;
                return open();
            },
            [](std::uint64_t i) { return belay::Bytes(i % 500, std::byte(i)); }, open,
            {.histories = full ? 1U : 5U, .steps = 150, .fill = 10});
    }
}

template <class Db>
void check_order(std::uint64_t count) {
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", count);
    for (std::uint64_t n = 1; n <= count; ++n) {
        auto storage = opened<Db>(dir / "q");
        REQUIRE(storage.size() == count + 1 - n);
        REQUIRE(first_of(storage) == text_for(n));
        if (n % 2 == 0) {
            REQUIRE_FALSE(storage.ack());
        } else {
            REQUIRE(storage.try_pop());
        }
    }
    auto storage = opened<Db>(dir / "q");
    CHECK(storage.front().error() == belay::QueueErrc::queue_empty);
    CHECK_FALSE(storage.try_pop());
    CHECK_FALSE(storage.try_push({}));
    CHECK(storage.front()->empty());
    CHECK_FALSE(storage.commit());
}

template <class Db>
void check_record_limit() {
    const TemporaryDirectory dir;
    typename Db::Options options = Db::fast;
    options.record_bytes_max = 10;
    auto storage = opened<Db>(dir / "q", options);
    CHECK_FALSE(storage.try_push(belay::Bytes(10)));
    CHECK(storage.try_push(belay::Bytes(11)) == belay::QueueErrc::too_large);
    CHECK(storage.size() == 1);
    CHECK_FALSE(storage.failed());
    options.record_bytes_max = 2'000'000'000;
    CHECK(refused<Db>(dir / "r", options).code == belay::QueueErrc::bad_options);
}

template <class Db>
void check_flushes() {
    const TemporaryDirectory dir;
    const typename Db::System system;
    for (const bool full : {true, false}) {
        auto storage = opened<Db>(dir / (full ? "full" : "fast"), full ? Db::full : Db::fast);
        const auto flushes_of = [](auto change) {
            const int before = Db::System::flushes;
            REQUIRE_FALSE(change());
            return Db::System::flushes - before;
        };
        // The first may have to do more.
        REQUIRE_FALSE(push(storage, "x"));
        CHECK(flushes_of([&] { return push(storage, "x"); }) == (full ? 1 : 0));
        CHECK(flushes_of([&] { return storage.ack(); }) == (full ? 1 : 0));
        CHECK((flushes_of([&] { return storage.commit(); }) > 0) == !full);
    }
}

template <class Db>
void check_moves() {
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", 2);
    auto storage = opened<Db>(dir / "q");
    const belay::BytesView lent = *storage.front();
    auto moved = opened<Db>(dir / "other");
    moved = std::move(storage);
    CHECK(belay::as_text(lent) == text_for(1));
    CHECK_FALSE(moved.ack());
    CHECK(first_of(moved) == text_for(2));
    CHECK(refused<Db>(dir / "q").code == belay::QueueErrc::already_locked);
    // The file that was assigned over is free again.
    CHECK(opened<Db>(dir / "other").size() == 0);
}

template <class Db>
void check_ack_asks_for_an_operation() {
    const TemporaryDirectory dir;
    auto storage = opened<Db>(dir / "q");
    CHECK(aborts_with([&] { static_cast<void>(storage.ack()); }).find("there must be an op") !=
          std::string::npos);
}

template <class Db>
void check_lock() {
    const TemporaryDirectory dir;
    {
        auto storage = opened<Db>(dir / "q");
        const auto error = refused<Db>(dir / "q");
        CHECK(error.code == belay::QueueErrc::already_locked);
        CHECK(error.message().find("end the other program") != std::string::npos);
        CHECK(in_child([&] {
            const auto second = Db::Storage::open(dir / "q");
            return !second && second.error().code == belay::QueueErrc::already_locked;
        }));
        CHECK_FALSE(push(storage, "x"));
    }
    CHECK(opened<Db>(dir / "q").size() == 1);
}

template <class Db>
void check_bad_paths() {
    const TemporaryDirectory dir;
    const auto advises = [](const std::string& path, const char* what) {
        return refused<Db>(path).message().find(what) != std::string::npos;
    };
    CHECK(advises(dir.path(), "choose the path of a file"));
    CHECK(advises(dir / "no/q", "make the directory above it first"));
    std::ofstream{dir / "file"} << "x";
    CHECK(advises(dir / "file/q", "in this one a file stands where a directory must be"));
    CHECK(refused<Db>(dir / std::string(300, 'x')).code == std::errc::filename_too_long);
    CHECK(refused<Db>("").code == belay::QueueErrc::bad_options);
    CHECK(refused<Db>(std::string{"a\0b", 3}).code == belay::QueueErrc::bad_options);
}

template <class Db>
void check_permissions() {
    const TemporaryDirectory dir;
    fill<Db>(dir / "q", 1);
    // The bits keep out root's child, which is nobody, and else its owner.
    REQUIRE(::chmod((dir / "q").c_str(), 0444) == 0);
    REQUIRE(::chmod(dir.path().c_str(), 0555) == 0);
    if (can_drop_privileges(dir.path())) {
        CHECK(in_child_without_privileges([&] {
            for (const char* const name : {"q", "new"}) {
                const auto storage = Db::Storage::open(dir / name);
                if (storage || storage.error().code != std::errc::permission_denied ||
                    storage.error().message().find("allow this user") == std::string::npos) {
                    return false;
                }
            }
            return true;
        }));
    }
    REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);
}

/// Whether a queue with these bytes in its file is found to be damaged. What it gives until then is
/// what was pushed: `body(1)`, `body(2)` and so on.
template <class Db>
bool notices(const std::string& bytes, std::string (*body)(std::uint64_t)) {
    const TemporaryDirectory dir;
    std::ofstream{dir / "q", std::ios::binary} << bytes;
    auto storage = Db::Storage::open(dir / "q", Db::fast);
    if (!storage) return true;
    for (std::uint64_t n = 1; storage->size() > 0; ++n) {
        const auto first = storage->front();
        if (!first) return true;
        REQUIRE(belay::as_text(*first) == body(n));
        if (storage->ack()) return true;
    }
    return false;
}

/// A write or flush fails, at each place in turn: nothing is lost, nothing claimed.
/// `judge(storage, error)` sees each call that failed. The answer is how many storages failed.
template <class Db, class Judge>
int check_failing_changes(Judge judge) {
    const typename Db::System system;
    int broken = 0;
    bool failed_somewhere = true;
    for (int place = 0; failed_somewhere; ++place) {
        REQUIRE(place < 100);
        INFO("place " << place);
        const TemporaryDirectory dir;
        std::uint64_t pushed = 0;
        std::uint64_t removed = 0;
        bool unknown = false;
        failed_somewhere = false;
        {
            auto storage = opened<Db>(dir / "q", Db::full);
            Db::System::countdown = place;
            for (int i = 0; i < 6 && !unknown; ++i) {
                const bool is_push = i % 3 != 2;
                const std::error_code error =
                    is_push ? push(storage, text_for(pushed + 1)) : storage.ack();
                if (!error) ++(is_push ? pushed : removed);
                REQUIRE(storage.size() == pushed - removed);
                if (!error) continue;
                failed_somewhere = true;
                judge(storage, error);
                unknown = static_cast<bool>(storage.failed());
                if (!unknown) {
                    if (storage.size() > 0) REQUIRE(first_of(storage) == text_for(removed + 1));
                    continue;
                }
                // Where it fails for good it gives nothing: each drain would execute it again.
                REQUIRE(storage.failed() == error);
                REQUIRE(storage.front().error() == error);
                REQUIRE(push(storage, "more") == error);
                REQUIRE(storage.commit() == error);
                REQUIRE_FALSE(storage.try_pop());
                if (storage.size() > 0) REQUIRE(storage.ack() == error);
            }
            Db::System::countdown = -1;
        }
        if (unknown) ++broken;
        auto storage = opened<Db>(dir / "q");
        // The call that failed may have taken effect only if the storage said that it is unknown.
        std::uint64_t n = removed + 1;
        if (storage.size() > 0 && first_of(storage) == text_for(removed + 2)) {
            REQUIRE(unknown);
            ++n;
        }
        for (; storage.size() > 0; ++n) REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
        REQUIRE(n - 1 >= pushed);
        REQUIRE(n - 1 <= pushed + (unknown ? 1 : 0));
    }
    return broken;
}

/// The same while values are popped, and the process is killed after it: each value was handed out,
/// or is still there. The answer is how many storages failed.
template <class Db>
int check_failing_pops() {
    const typename Db::System system;
    int broken = 0;
    bool failed_somewhere = true;
    for (int place = 0; failed_somewhere; ++place) {
        REQUIRE(place < 100);
        INFO("place " << place);
        const TemporaryDirectory dir;
        const TemporaryDirectory left;
        fill<Db>(dir / "q", 4);
        std::set<std::string> seen;
        {
            auto storage = opened<Db>(dir / "q", Db::full);
            Db::System::countdown = place;
            for (int i = 0; i < 4; ++i) {
                if (const auto value = storage.try_pop()) seen.emplace(belay::as_text(*value));
            }
            failed_somewhere = Db::System::countdown <= 0;
            Db::System::countdown = -1;
            if (storage.failed()) ++broken;
            // As if the process were killed here: closing would tidy up.
            for (const char* const name : {"q", "q-wal"}) {
                std::error_code none;
                std::filesystem::copy_file(dir / name, left / name, none);
            }
        }
        auto storage = opened<Db>(left / "q");
        while (const auto value = storage.try_pop()) seen.emplace(belay::as_text(*value));
        REQUIRE(seen.size() == 4);
    }
    return broken;
}

/// No room, which the storage says by `expected`, and then room again.
template <class Db>
void check_limit_of_file_sizes(std::errc expected) {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        auto storage = Db::Storage::open(dir / "q", Db::fast);
        if (!storage) return false;
        rlimit limit{64 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        std::uint64_t taken = 0;
        std::error_code error;
        while (!(error = push(*storage, text_for(taken + 1)))) ++taken;
        if (error != expected || storage->failed() || taken < 3) return false;
        if (storage->size() != taken || first_of(*storage) != text_for(1)) return false;
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        if (push(*storage, text_for(++taken))) return false;
        std::ofstream{dir / "taken"} << taken;
        return true;
    }));
    std::uint64_t taken = 0;
    std::ifstream{dir / "taken"} >> taken;
    auto storage = opened<Db>(dir / "q");
    CHECK(storage.size() == taken);
    for (std::uint64_t n = 1; n <= taken; ++n) {
        REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
    }
}

/// Pushes and acknowledges until it is killed, and tells each success: how many were pushed, and
/// removed.
struct Done {
    std::uint64_t pushed = 0;
    std::uint64_t removed = 0;
};
template <class Db>
int push_and_ack(const std::string& path, typename Db::Options options, std::uint64_t seed,
                 Done done, Teller<Done> tell) {
    auto storage = Db::Storage::open(path, options);
    if (!storage) return 1;
    belay::Random chance{belay::Seed{seed}};
    for (;; tell(done)) {
        if (chance() % 5 < 3 || storage->size() == 0) {
            if (push(*storage, text_for(done.pushed + 1))) return 2;
            ++done.pushed;
        } else {
            if (first_of(*storage) != text_for(done.removed + 1)) return 3;
            if (storage->ack()) return 4;
            ++done.removed;
        }
    }
}
template <class Db>
void check_kills() {
    const TemporaryDirectory dir;
    belay::Random bits{belay::Seed{1}};
    Done told;
    for (std::uint64_t round = 0; round < 24; ++round) {
        INFO("round " << round);
        const auto options = round % 2 == 0 ? Db::full : Db::fast;
        const Done before = told;
        kill_at_work<Done>(
            1 + bits() % 60,
            [&](Teller<Done> tell) {
                return push_and_ack<Db>(dir / "q", options, round + 100, before, tell);
            },
            [&](const Done& done) { told = done; });

        auto storage = opened<Db>(dir / "q");
        // At most one call was answered to nobody: a push, or an ack.
        if (storage.size() == told.pushed - told.removed + 1) {
            ++told.pushed;
        } else if (storage.size() + 1 == told.pushed - told.removed) {
            ++told.removed;
        }
        REQUIRE(storage.size() == told.pushed - told.removed);
        if (storage.size() > 0) REQUIRE(first_of(storage) == text_for(told.removed + 1));
    }
    CHECK(told.pushed > 100);
    auto storage = opened<Db>(dir / "q");
    for (std::uint64_t n = told.removed + 1; n <= told.pushed; ++n) {
        REQUIRE(belay::as_text(*storage.try_pop()) == text_for(n));
    }
    CHECK(storage.size() == 0);
}

}  // namespace belay_test
