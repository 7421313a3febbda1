// SPDX-License-Identifier: MIT
/// \file tests/support/sync/sync_rig.hpp
/// Operations by numbers, a wall clock set by hand, and stores that fail on command.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <belay/queue/queue_errc.hpp>
#include <belay/sync/memory_store.hpp>
#include <belay/sync/sync_processor.hpp>

namespace belay_test {

using Op = belay::Operation<std::string>;
using Ops = std::vector<Op>;
using Memory = belay::MemoryStore<std::string>;
using Reason = belay::ConflictReason;

struct ManualWallTime {
    belay::WallTime time{belay::Duration{1'000'000}};
    [[nodiscard]] belay::WallTime now() const noexcept { return time; }
};

inline belay::Id id_of(std::uint64_t number) {
    belay::Id id{};
    belay::store_le(id.data(), number);
    return id;
}
inline belay::Stamp stamp(std::int64_t time, std::uint64_t origin = 1, std::uint32_t counter = 0) {
    return {belay::WallTime{belay::Duration{time}}, counter, id_of(origin)};
}
/// Every operation has its own id.
inline belay::Id fresh_id() {
    static std::uint64_t last = 0;
    return id_of(++last);
}
inline Op add(const std::string& element, const std::string& value, const belay::Stamp& at) {
    return {fresh_id(), at, belay::AddElement<std::string>{element, value}};
}
inline Op update(const std::string& element, const std::string& value, const belay::Stamp& at) {
    return {fresh_id(), at, belay::UpdateElement<std::string>{element, value, {}}};
}
inline Op removal(const std::string& element, const belay::Stamp& at) {
    return {fresh_id(), at, belay::RemoveElement{element}};
}
inline Op interaction(const std::string& what, const belay::Stamp& at) {
    return {fresh_id(), at, belay::Interaction{"e", what}};
}

/// Each code that a store may return: all of sync, and one of other categories for each cause.
inline std::vector<std::error_code> every_error() {
    using belay::QueueErrc;
    std::vector<std::error_code> all{std::make_error_code(std::errc::no_space_on_device),
                                     std::make_error_code(std::errc::io_error),
                                     std::make_error_code(std::errc::permission_denied),
                                     make_error_code(QueueErrc::corrupt),
                                     make_error_code(QueueErrc::displaced),
                                     make_error_code(QueueErrc::too_large)};
    for (int value = 1;; ++value) {
        const std::error_code code = static_cast<belay::SyncErrc>(value);
        if (code.message() == "unknown error") return all;
        all.push_back(code);
    }
}

/// "live 5 x", "removed 5" or "absent" of an element of the session "s".
template <class Store>
std::string state_text(Store& store, const std::string& element, const std::string& session = "s") {
    const belay::part::ElementKey key{session, element};
    const auto found = store.find(key);
    if (!found || found->presence == belay::part::Presence::absent) return "absent";
    const auto time = std::to_string(found->stamp.wall.time_since_epoch().count());
    if (found->presence == belay::part::Presence::removed) return "removed " + time;
    return "live " + time + " " + store.read(key).value().value_or("(no value)");
}

/// A MemoryStore whose calls fail, or throw, on command. It counts its writes.
class FaultyStore {
public:
    using operation_type = Op;

    /// The next `times` calls that write this element return `error`, or throw if it is none.
    void fail(const std::string& element, std::error_code error, int times = 1) {
        for (int i = 0; i < times; ++i) faults_[element].push_back(error);
    }
    /// The next call that writes this element succeeds. Later faults stay.
    void pass(const std::string& element) { faults_[element].push_back(std::nullopt); }
    belay::Result<belay::part::ElementState> find(const belay::part::ElementKey& key) {
        return store.find(key);
    }
    belay::Result<std::optional<std::string>> read(const belay::part::ElementKey& key) {
        return store.read(key);
    }
    std::error_code add(const belay::part::ElementKey& key, const std::string& value,
                        const belay::part::WriteMark& mark) {
        if (const auto fault = faulty(key)) return *fault;
        return wrote(key, [=](Memory& in, const belay::part::ElementKey& at) {
            return in.add(at, value, mark);
        });
    }
    std::error_code update(const belay::part::ElementKey& key, const std::string& value,
                           const belay::part::WriteMark& mark) {
        if (const auto fault = faulty(key)) return *fault;
        return wrote(key, [=](Memory& in, const belay::part::ElementKey& at) {
            return in.update(at, value, mark);
        });
    }
    std::error_code remove(const belay::part::ElementKey& key, const belay::part::WriteMark& mark) {
        if (const auto fault = faulty(key)) return *fault;
        return wrote(key, [=](Memory& in, const belay::part::ElementKey& at) {
            return in.remove(at, mark);
        });
    }
    std::error_code remember(const belay::part::WriteMark& mark) {
        log.push_back([=](Memory& in) { return in.remember(mark); });
        return log.back()(store);
    }
    belay::Result<std::optional<belay::part::AppliedMark>> applied(const belay::Id& id) {
        return store.applied(id);
    }
    std::error_code expire(belay::WallTime now) { return store.expire(now); }
    [[nodiscard]] belay::WallTime horizon() const noexcept { return store.horizon(); }

    Memory store{};
    int calls = 0;
    std::vector<std::string> writes{};
    /// All writes of the store, from which it can be rebuilt.
    std::vector<std::function<std::error_code(Memory&)>> log{};

private:
    std::optional<std::error_code> faulty(const belay::part::ElementKey& key) {
        ++calls;
        auto& faults = faults_[std::string{key.id}];
        if (faults.empty()) return std::nullopt;
        const std::optional<std::error_code> fault = faults.front();
        faults.pop_front();
        if (fault && !*fault) throw std::runtime_error{"the store's own"};
        return fault;
    }
    template <class Write>
    std::error_code wrote(const belay::part::ElementKey& key, Write write) {
        log.push_back(
            [write, session = std::string{key.session}, id = std::string{key.id}](Memory& in) {
                return write(in, {session, id});
            });
        const std::error_code error = log.back()(store);
        if (!error) writes.emplace_back(key.id);
        return error;
    }

    std::map<std::string, std::deque<std::optional<std::error_code>>> faults_{};
};

/// Records all calls of its hooks.
struct SyncNotes {
    std::vector<std::string> lines{};
    void on_operation(const belay::OperationReport<Op>& report) {
        lines.push_back(std::string{to_string(report.outcome)} + " " +
                        std::string{report.operation.element()});
    }
    void on_conflict(const belay::ConflictReport<Op>& report) {
        constexpr const char* decisions[] = {"keep_local", "keep_remote", "merged", "pending"};
        lines.push_back(std::string{to_string(report.reason)} + " " +
                        decisions[static_cast<int>(report.decision)]);
    }
    void on_progress(const belay::part::SyncProgress& progress) {
        lines.push_back(std::to_string(progress.decided) + " of " + std::to_string(progress.total));
    }
};

template <class Store, class Strategy>
auto processor_of(Store& store, Strategy strategy, belay::SyncOptions options = {}) {
    return belay::SyncProcessor{std::ref(store), strategy, options, belay::NoObserver{},
                                ManualWallTime{}};
}

/// Returns the counts of the result, or an error text about it.
template <class Result>
std::string sums(const Result& result, std::size_t given) {
    if (result.synced_count + result.conflict_count + result.failed_count != given) return "counts";
    if (result.conflicts.size() != result.conflict_count) return "conflicts";
    if (result.failed_operations.size() != result.failed_count) return "failed_operations";
    if (result.success != (result.failed_count == 0)) return "success";
    return std::to_string(result.synced_count) + " " + std::to_string(result.conflict_count) + " " +
           std::to_string(result.failed_count);
}

}  // namespace belay_test
