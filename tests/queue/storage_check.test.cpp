// SPDX-License-Identifier: MIT
// Goal: check::storage detects each mistake of a storage, and accepts belay's own storages.
// Method: storages with one planted mistake each.
#include <belay/queue/storage_check.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <belay/journal/journal.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/disk.hpp>

#include "support/aborts.hpp"
#include "support/journal/journal_model.hpp"
#include "support/queue/broken_storages.hpp"
#include "support/queue/storage_conformance.hpp"

using namespace belay;
using belay_test::fault_of;
using belay_test::Mistake;
using belay_test::text_of;

namespace {

/// Returns the sentence of the rule that is found broken; "" if none is found.
template <Mistake mistake>
std::string broken_by() {
    const std::optional<check::StorageFault> fault = fault_of<mistake>();
    return fault ? to_string(fault->rule) : "";
}

/// A storage without leases, of move-only values, whose try_push returns an error code.
struct PlainStorage {
    struct Value {
        std::unique_ptr<int> owned;
        friend bool operator==(const Value& a, const Value& b) {
            return (a.owned ? *a.owned : -1) == (b.owned ? *b.owned : -1);
        }
    };
    using value_type = Value;
    std::vector<Value> held;
    std::size_t most = 3;

    std::error_code try_push(Value&& value) noexcept {
        if (held.size() >= most) return make_error_code(QueueErrc::queue_full);
        held.push_back(std::move(value));
        return {};
    }
    std::optional<Value> try_pop() {
        if (held.empty()) return std::nullopt;
        Value value = std::move(held.front());
        held.erase(held.begin());
        return value;
    }
    std::size_t size() const noexcept { return held.size(); }
    std::size_t capacity() const noexcept { return 3; }
};
static_assert(StorageLike<PlainStorage> && !LeasableLike<PlainStorage>);

/// A correct storage that computes a sum of the results of try_pop().
struct SummedRing : Ring<int> {
    explicit SummedRing(std::uint64_t& to) : Ring<int>{8}, sum{&to} {}

    std::optional<int> try_pop() noexcept {
        std::optional<int> value = Ring<int>::try_pop();
        *sum = *sum * 31 + (value ? 1 : 2);
        return value;
    }
    std::uint64_t* sum;
};

PlainStorage::Value owned_value(std::uint64_t i) {
    return {std::make_unique<int>(static_cast<int>(i))};
}

}  // namespace

TEST_CASE("check::storage finds no fault in a correct storage", "[queue][storage_check][unit]") {
    CHECK(text_of(fault_of<Mistake::none>()) == "");
    CHECK(text_of(fault_of<Mistake::none>({.histories = 1000})) == "");
}

TEST_CASE("check::storage reports the rule that each planted mistake breaks",
          "[queue][storage_check][unit]") {
    const auto rule = [](check::StorageRule r) { return std::string{to_string(r)}; };
    CHECK(broken_by<Mistake::not_empty_at_first>() == rule(check::StorageRule::starts_empty));
    CHECK(broken_by<Mistake::no_capacity>() == rule(check::StorageRule::has_capacity));
    CHECK(broken_by<Mistake::grows_its_capacity>() == rule(check::StorageRule::has_capacity));
    CHECK(broken_by<Mistake::size_off_by_one>() == rule(check::StorageRule::counts_its_values));
    CHECK(broken_by<Mistake::rejects_one_early>() ==
          rule(check::StorageRule::takes_while_there_is_space));
    CHECK(broken_by<Mistake::drops_oldest_when_full>() ==
          rule(check::StorageRule::rejects_when_full));
    CHECK(broken_by<Mistake::forgets_oldest_on_rejection>() ==
          rule(check::StorageRule::rejection_changes_nothing));
    CHECK(broken_by<Mistake::changes_rejected>() ==
          rule(check::StorageRule::rejection_changes_nothing));
    CHECK(broken_by<Mistake::takes_newest>() == rule(check::StorageRule::pops_the_oldest));
    CHECK(broken_by<Mistake::gives_from_nothing>() == rule(check::StorageRule::starts_empty));
}

TEST_CASE("check::storage detects losses by moving and reopening", "[queue][storage_check][unit]") {
    const auto rule = [](check::StorageRule r) { return std::string{to_string(r)}; };
    // The compiler may move the result of `reopen`, so the loss may show there first.
    const std::string lost = broken_by<Mistake::loses_on_move>();
    CHECK((lost == rule(check::StorageRule::move_keeps_everything) ||
           lost == rule(check::StorageRule::reopening_keeps_everything) ||
           lost == rule(check::StorageRule::reopening_ends_the_lease)));
    CHECK(broken_by<Mistake::copies_on_move>() == rule(check::StorageRule::move_keeps_everything));
    CHECK(broken_by<Mistake::forgets_on_reopening>() ==
          rule(check::StorageRule::reopening_keeps_everything));
    CHECK(broken_by<Mistake::brings_back_acknowledged>() ==
          rule(check::StorageRule::reopening_keeps_everything));
    CHECK(broken_by<Mistake::forgets_what_is_leased>() ==
          rule(check::StorageRule::reopening_ends_the_lease));
}

TEST_CASE("check::storage detects wrong leases", "[queue][storage_check][unit]") {
    const auto rule = [](check::StorageRule r) { return std::string{to_string(r)}; };
    CHECK(broken_by<Mistake::leases_newest>() == rule(check::StorageRule::leases_the_oldest));
    CHECK(broken_by<Mistake::leases_from_nothing>() == rule(check::StorageRule::leases_the_oldest));
    CHECK(broken_by<Mistake::push_moves_what_is_leased>() ==
          rule(check::StorageRule::push_keeps_the_lease));
    CHECK(broken_by<Mistake::leases_the_next_again>() ==
          rule(check::StorageRule::leases_the_same_again));
    CHECK(broken_by<Mistake::leaves_out_what_is_leased>() ==
          rule(check::StorageRule::counts_what_it_leases));
    CHECK(broken_by<Mistake::ack_drops_newest>() ==
          rule(check::StorageRule::ack_removes_what_was_leased));
    CHECK(broken_by<Mistake::ack_drops_two>() ==
          rule(check::StorageRule::ack_removes_what_was_leased));
    CHECK(broken_by<Mistake::keeps_on_ack>() ==
          rule(check::StorageRule::ack_removes_what_was_leased));
    CHECK(broken_by<Mistake::ack_fails>() == rule(check::StorageRule::ack_removes_what_was_leased));
    CHECK(broken_by<Mistake::pops_the_next_of_what_is_leased>() ==
          rule(check::StorageRule::pop_takes_what_was_leased));
    CHECK(broken_by<Mistake::pop_leaves_the_lease>() ==
          rule(check::StorageRule::pop_takes_what_was_leased));
    CHECK(broken_by<Mistake::loses_on_nack>() == rule(check::StorageRule::nack_keeps_everything));
    CHECK(broken_by<Mistake::doubles_on_nack>() == rule(check::StorageRule::nack_keeps_everything));
    CHECK(broken_by<Mistake::nack_puts_last>() == rule(check::StorageRule::nack_keeps_everything));
    CHECK(broken_by<Mistake::loses_in_unwinding>() ==
          rule(check::StorageRule::nack_in_unwinding_keeps_everything));
}

TEST_CASE("check::storage detects confirmations of a storage whose file is elsewhere",
          "[queue][storage_check][unit]") {
    const std::string confirms = to_string(check::StorageRule::confirms_nothing_when_displaced);
    CHECK(broken_by<Mistake::confirms_pushes_when_displaced>() == confirms);
    CHECK(broken_by<Mistake::confirms_acks_when_displaced>() == confirms);
    CHECK(broken_by<Mistake::stays_displaced>() ==
          to_string(check::StorageRule::continues_when_its_file_is_back));
}

TEST_CASE("check::storage checks storages without leases", "[queue][storage_check][unit]") {
    CHECK(text_of(check::storage([] { return PlainStorage{}; }, owned_value)) == "");
    const auto fault = check::storage([] { return PlainStorage{{}, 2}; }, owned_value);
    REQUIRE(fault);
    CHECK(fault->rule == check::StorageRule::takes_while_there_is_space);
    CHECK(fault->history == 0);
    CHECK(fault->pushed == 4);  // two values of the first steps, and two that filled it
}

TEST_CASE("check::storage runs as long as its options specify", "[queue][storage_check][unit]") {
    // A rare mistake shows only in a long history, and each time in the same one.
    const check::StorageOptions few{.histories = 3, .steps = 30};
    CHECK_FALSE(fault_of<Mistake::swaps_one>(few));
    const auto fault = fault_of<Mistake::swaps_one>();
    REQUIRE(fault);
    CHECK(fault->rule == check::StorageRule::pops_the_oldest);
    CHECK(fault->history > 0);
    const auto again = fault_of<Mistake::swaps_one>();
    CHECK(again->history == fault->history);
    CHECK(again->pushed == fault->pushed);

    std::size_t made = 0;
    std::uint64_t highest = 0;
    CHECK_FALSE(check::storage(
        [&] {
            ++made;
            return PlainStorage{};
        },
        [&](std::uint64_t i) {
            highest = i > highest ? i : highest;
            return owned_value(i);
        },
        {.histories = 7, .steps = 0}));
    CHECK(made == 8);
    CHECK(highest < 10);
}

TEST_CASE("check::storage propagates an exception of the storage", "[queue][storage_check][unit]") {
    struct Throwing : PlainStorage {
        std::optional<Value> try_pop() { throw 7; }
    };
    CHECK_THROWS_AS(static_cast<void>(check::storage([] { return Throwing{}; }, owned_value)), int);
}

TEST_CASE("check::storage opens a journal again and again", "[queue][storage_check][property]") {
    std::unique_ptr<sim::Disk> disk;
    const auto open = [&] {
        return Journal<sim::Disk>::open(*disk, "q", belay_test::small_journal(1)).value();
    };
    // A journal may be used after the next disk was made.
    std::vector<std::unique_ptr<sim::Disk>> kept;
    belay_test::check_storage_conformance(
        [&] {
            if (disk) kept.push_back(std::move(disk));
            disk = std::make_unique<sim::Disk>();
            return open();
        },
        [](std::uint64_t i) { return Bytes(i % 50, std::byte(i)); }, open, {.histories = 30});
}

TEST_CASE("check::storage_failures finds no fault in a journal for any kind of failure",
          "[queue][storage_check][fault]") {
    const int kind = GENERATE(0, 1, 2, 3);
    const Flush flush = GENERATE(Flush::group, Flush::each);
    const bool loses_power = GENERATE(false, true);
    std::unique_ptr<sim::Disk> disk;
    std::uint64_t fails_at = 0;
    const auto calls = [&] {
        return kind <= 1 ? disk->operations() : kind == 2 ? disk->reads() : disk->opens();
    };
    JournalOptions options = belay_test::small_journal(1);
    options.flush = flush;
    const auto open = [&] { return Journal<sim::Disk>::open(*disk, "q", options).value(); };
    std::uint64_t failures = 0;
    const auto fault = check::storage_failures(
        [&] {
            disk = std::make_unique<sim::Disk>();
            return open();
        },
        [](std::uint64_t i) { return Bytes(1 + i % 50, std::byte(i)); },
        [&] {
            CHECK(disk->open_files() == 0);
            if (loses_power) disk->crash(Random{Seed{fails_at}});
            return open();
        },
        [&](std::uint64_t n) {
            if (n == 0) {
                disk->mend();
                failures += calls() >= fails_at ? 1U : 0U;
                return calls() >= fails_at;
            }
            fails_at = calls() + n;
            const std::error_code error = std::make_error_code(
                kind == 3 ? std::errc::too_many_files_open : std::errc::io_error);
            if (kind == 0) disk->fail_at(fails_at, error);
            if (kind == 1) disk->fail_after(fails_at, error);
            if (kind == 2) disk->fail_read_at(fails_at, error);
            if (kind == 3) disk->fail_open_at(fails_at, error);
            return false;
        },
        {.steps = 120});
    INFO("kind " << kind << ", call " << (fault ? fault->history : 0));
    CHECK(text_of(fault) == "");
    CHECK(failures > 2);
}

namespace {

/// The medium of a storage: the values that a write has stored.
struct FailingMedium {
    std::vector<int> stored;
    std::uint64_t calls = 0;
    std::uint64_t fails_at = 0;

    [[nodiscard]] bool write(int value) {
        if (++calls == fails_at) return false;
        stored.push_back(value);
        return true;
    }
    bool fail(std::uint64_t n) {
        const bool has_failed = fails_at != 0 && calls >= fails_at;
        fails_at = n == 0 ? 0 : calls + n;
        return has_failed;
    }
};

enum class FailureMistake { none, forgets_after_failure, repeats_all, keeps_what_it_rejects };

/// A storage that writes in flush().
template <FailureMistake mistake>
struct FailingStorage {
    using value_type = int;
    explicit FailingStorage(FailingMedium& m)
        : medium{&m}, held{m.stored}, written{m.stored.size()} {}

    bool try_push(int&& value) noexcept {
        const bool rejects = mistake == FailureMistake::keeps_what_it_rejects && failed;
        held.push_back(value);
        return !rejects;
    }
    std::optional<int> try_pop() {
        if (held.empty()) return std::nullopt;
        const int value = held.front();
        held.erase(held.begin());
        return value;
    }
    std::size_t size() const noexcept { return held.size(); }
    std::size_t capacity() const noexcept { return 1'000; }
    bool unflushed() const noexcept { return written != held.size(); }
    std::error_code flush() noexcept {
        for (; written < held.size(); ++written) {
            if (medium->write(held[written])) continue;
            failed = true;
            if (mistake == FailureMistake::forgets_after_failure) written = held.size();
            if (mistake == FailureMistake::repeats_all) written = 0;
            return std::make_error_code(std::errc::io_error);
        }
        return {};
    }

    FailingMedium* medium;
    std::vector<int> held;
    std::size_t written;
    bool failed = false;
};

template <FailureMistake mistake>
std::string broken_by_failure() {
    FailingMedium medium;
    const auto open = [&] { return FailingStorage<mistake>{medium}; };
    const auto fault = check::storage_failures(
        [&] { return medium = {}, open(); }, [](std::uint64_t i) { return static_cast<int>(i); },
        open, [&](std::uint64_t n) { return medium.fail(n); }, {.steps = 20});
    return fault ? to_string(fault->rule) : "";
}

}  // namespace

TEST_CASE("check::storage_failures reports the rule that each planted mistake breaks",
          "[queue][storage_check][unit]") {
    const auto confirmed = to_string(check::StorageRule::failure_keeps_what_is_confirmed);
    CHECK(broken_by_failure<FailureMistake::none>() == "");
    CHECK(broken_by_failure<FailureMistake::forgets_after_failure>() == confirmed);
    CHECK(broken_by_failure<FailureMistake::repeats_all>() == confirmed);
    CHECK(broken_by_failure<FailureMistake::keeps_what_it_rejects>() ==
          to_string(check::StorageRule::counts_its_values));
}

namespace {

/// The medium of a storage: rows by key. A call that fails may have taken effect.
struct FailingTable {
    std::map<long, int> rows;
    bool takes_effect = false;
    std::uint64_t calls = 0;
    std::uint64_t fails_at = 0;

    template <class F>
    [[nodiscard]] std::error_code call(F change) {
        const bool fails = ++calls == fails_at;
        if (!fails || takes_effect) change();
        return fails ? std::make_error_code(std::errc::io_error) : std::error_code{};
    }
    bool fail(std::uint64_t n) {
        const bool has_failed = fails_at != 0 && calls >= fails_at;
        fails_at = n == 0 ? 0 : calls + n;
        return has_failed;
    }
};

enum class AfterFailure { stops, takes_another_key, takes_the_key_again };

/// A storage whose calls are durable at once.
template <AfterFailure after>
struct TableStorage {
    using value_type = int;
    explicit TableStorage(FailingTable& t) : table{&t}, held{t.rows.begin(), t.rows.end()} {
        if (!held.empty()) next_key = held.back().first + 1;
    }

    std::error_code try_push(int&& value) noexcept {
        const long key = next_key;
        const auto error = change([&] { table->rows.emplace(key, value); });
        if (!error || after == AfterFailure::takes_another_key) ++next_key;
        if (!error) held.emplace_back(key, value);
        return error;
    }
    std::optional<int> try_pop() {
        if (held.empty()) return std::nullopt;
        const int value = held.front().second;
        return ack() ? std::nullopt : std::optional{value};
    }
    const int* front() const { return held.empty() ? nullptr : &held.front().second; }
    std::error_code ack() noexcept {
        const auto error = change([&] { table->rows.erase(held.front().first); });
        if (!error) held.pop_front();
        return error;
    }
    void nack() noexcept {}
    std::size_t size() const noexcept { return held.size(); }
    std::size_t capacity() const noexcept { return 1'000; }

private:
    template <class F>
    std::error_code change(F f) {
        if (failed && after == AfterFailure::stops) return failed;
        const std::error_code error = table->call(f);
        if (error) failed = error;
        return error;
    }

    FailingTable* table;
    std::deque<std::pair<long, int>> held;
    long next_key = 0;
    std::error_code failed{};
};

template <AfterFailure after>
std::string broken_table(bool takes_effect) {
    FailingTable table;
    const auto open = [&] { return TableStorage<after>{table}; };
    const auto fault = check::storage_failures(
        [&] { return table = {.rows = {}, .takes_effect = takes_effect}, open(); },
        [](std::uint64_t i) { return static_cast<int>(i); }, open,
        [&](std::uint64_t n) { return table.fail(n); }, {.steps = 40});
    return fault ? to_string(fault->rule) : "";
}

}  // namespace

TEST_CASE("check::storage_failures accepts a push and an ack that failed and took effect",
          "[queue][storage_check][unit]") {
    const bool takes_effect = GENERATE(false, true);
    CHECK(broken_table<AfterFailure::stops>(takes_effect) == "");
    CHECK(broken_table<AfterFailure::takes_another_key>(takes_effect) == "");
    const auto confirmed = to_string(check::StorageRule::failure_keeps_what_is_confirmed);
    CHECK(broken_table<AfterFailure::takes_the_key_again>(takes_effect) ==
          std::string{takes_effect ? confirmed : ""});
}

TEST_CASE("check::storage_failures aborts if no call fails", "[queue][storage_check][unit]") {
    FailingTable table;
    const auto open = [&] { return TableStorage<AfterFailure::stops>{table}; };
    const std::string text = belay_test::aborts_with([&] {
        static_cast<void>(check::storage_failures(
            open, [](std::uint64_t i) { return static_cast<int>(i); }, open,
            [](std::uint64_t) { return false; }));
    });
    CHECK(text.find("fail(1) must let the next call fail") != std::string::npos);
}

TEST_CASE("Every check::StorageRule has its own sentence", "[queue][storage_check][unit]") {
    std::vector<std::string> sentences;
    for (int i = 0; i <= static_cast<int>(check::StorageRule::failure_keeps_what_is_confirmed);
         ++i) {
        const std::string sentence = to_string(static_cast<check::StorageRule>(i));
        CHECK(std::find(sentences.begin(), sentences.end(), sentence) == sentences.end());
        CHECK(sentence != "unknown");
        sentences.push_back(sentence);
    }
    CHECK(to_string(static_cast<check::StorageRule>(200)) == std::string{"unknown"});
}

TEST_CASE("check::storage makes the same histories with every compiler",
          "[queue][storage_check][golden]") {
    std::uint64_t sum = 0;
    const auto fault = check::storage([&] { return SummedRing{sum}; },
                                      [](std::uint64_t i) { return static_cast<int>(i); });
    CHECK(text_of(fault) == "");
    CHECK(sum == 7927367085712054745U);
}
