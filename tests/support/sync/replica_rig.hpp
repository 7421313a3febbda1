// SPDX-License-Identifier: MIT
/// \file tests/support/sync/replica_rig.hpp
/// Devices with a Replica on a simulated disk, a local store that fails on command, and a server
/// that loses requests and answers. The rig tracks the result of every edit.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <belay/sync/replica.hpp>

#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"

namespace belay_test {

/// A StoreLike in maps without transactions, which fails on command.
struct StoreOfWrites {
    using operation_type = Op;
    using Key = std::pair<std::string, std::string>;
    struct Contents {
        std::map<Key, std::pair<belay::part::ElementState, std::string>> elements{};
        std::map<belay::Id, belay::part::AppliedMark> known{};
        std::map<std::string, belay::Bytes> notes{};
    };

    belay::Result<belay::part::ElementState> find(const belay::part::ElementKey& key) {
        if (fails()) return belay::SyncErrc::store_busy;
        const auto at = in.elements.find({std::string{key.session}, std::string{key.id}});
        return at != in.elements.end() ? at->second.first : belay::part::ElementState{};
    }
    belay::Result<std::optional<std::string>> read(const belay::part::ElementKey& key) {
        if (fails()) return belay::SyncErrc::store_busy;
        const auto at = in.elements.find({std::string{key.session}, std::string{key.id}});
        const bool live =
            at != in.elements.end() && at->second.first.presence == belay::part::Presence::live;
        return live ? std::optional{at->second.second} : std::nullopt;
    }
    std::error_code add(const belay::part::ElementKey& key, const std::string& value,
                        const belay::part::WriteMark& mark) {
        if (fails()) return belay::SyncErrc::store_busy;
        in.elements[{std::string{key.session}, std::string{key.id}}] = {
            {belay::part::Presence::live, mark.stamp}, value};
        return noted(mark);
    }
    std::error_code update(const belay::part::ElementKey& key, const std::string& value,
                           const belay::part::WriteMark& mark) {
        return add(key, value, mark);
    }
    std::error_code remove(const belay::part::ElementKey& key, const belay::part::WriteMark& mark) {
        if (fails()) return belay::SyncErrc::store_busy;
        in.elements[{std::string{key.session}, std::string{key.id}}] = {
            {belay::part::Presence::removed, mark.stamp}, ""};
        return noted(mark);
    }
    std::error_code remember(const belay::part::WriteMark& mark) {
        if (fails()) return belay::SyncErrc::store_busy;
        return noted(mark);
    }
    belay::Result<std::optional<belay::part::AppliedMark>> applied(const belay::Id& id) {
        if (fails()) return belay::SyncErrc::store_busy;
        const auto at = in.known.find(id);
        return at != in.known.end() ? std::optional{at->second} : std::nullopt;
    }
    std::error_code expire(belay::WallTime) { return {}; }
    [[nodiscard]] belay::WallTime horizon() const noexcept { return belay::WallTime::min(); }
    template <class Visit>
    std::error_code for_each(std::string_view session, Visit&& visit) {
        for (const auto& [key, element] : in.elements) {
            if (key.first != session) continue;
            if (element.first.presence != belay::part::Presence::live) continue;
            visit(std::string_view{key.second}, element.second, element.first.stamp);
        }
        return {};
    }

    bool fails() { return fail_in != 0 && --fail_in == 0; }
    belay::Result<belay::Bytes> note(std::string_view name) {
        if (fails()) return belay::SyncErrc::store_busy;
        const auto at = in.notes.find(std::string{name});
        return at != in.notes.end() ? at->second : belay::Bytes{};
    }
    std::error_code set_note(std::string_view name, belay::BytesView bytes) {
        if (fails()) return belay::SyncErrc::store_busy;
        in.notes[std::string{name}].assign(bytes.begin(), bytes.end());
        return {};
    }
    std::error_code noted(const belay::part::WriteMark& mark) {
        if (mark.operation == belay::no_id) return {};
        in.known[mark.operation] = {mark.hash, mark.decision};
        return {};
    }

    Contents in{};
    std::uint64_t fail_in = 0;  // the number of the call that fails; 0: none
};

/// The same with transactions, which are atomic.
struct MapStore : StoreOfWrites {
    template <class Body>
    std::error_code transaction(Body& body) {
        const Contents before = in;
        const std::error_code error = body();
        if (error) in = before;
        return error;
    }
};

using ReplicaJournal = belay::Journal<belay::sim::Disk>;

/// One wall clock for all devices, which each of them reads with its own error.
struct SharedWall {
    const belay::WallTime* time;
    belay::Duration wrong{};
    [[nodiscard]] belay::WallTime now() const noexcept {
        return belay::WallTime{time->time_since_epoch() + wrong};
    }
};

/// The elements that a replica shows.
using ReplicaView = std::map<std::string, std::string>;

template <class Store = MapStore>
struct Device {
    using Replica = belay::Replica<TextCodec, std::reference_wrapper<ReplicaJournal>,
                                   std::reference_wrapper<Store>, SharedWall>;

    Device(std::uint64_t seed, SharedWall w, belay::ReplicaOptions o = {})
        : number{seed}, wall{w}, options{std::move(o)} {
        options.seed = belay::Seed{seed * 7919};
        start();
    }
    /// Starts the process again.   Returns: whether that succeeded.
    bool start() {
        replica.reset();
        journal.reset();
        auto opened = ReplicaJournal::open(
            disk, "device",
            {.segment_bytes = 64 << 10, .record_bytes_max = 1000, .seed = belay::Seed{number}});
        if (!opened) return false;
        journal.emplace(std::move(*opened));
        options.seed = belay::Seed{number * 7919 + journal->run()};
        replica.emplace(std::ref(*journal), std::ref(store), TextCodec{}, options, wall);
        if (replica->load()) {
            replica.reset();
            return false;
        }
        return true;
    }
    ReplicaView view() {
        ReplicaView shown;
        const auto error = replica->for_each([&](std::string_view id, const std::string& text) {
            shown.emplace(std::string{id}, text);
        });
        if (error) shown.emplace("error", error.message());
        return shown;
    }

    std::uint64_t number;
    SharedWall wall;
    belay::ReplicaOptions options;
    belay::sim::Disk disk{};
    Store store{};
    std::optional<ReplicaJournal> journal{};
    std::optional<Replica> replica{};
};

/// A SyncProcessor whose requests and answers get lost on command.
template <class Processor>
struct LossyServer {
    using Page = belay::part::ChangesPage<std::string>;

    belay::Result<belay::SyncResult<Op>> send(std::span<const Op> batch) {
        if (lost()) return belay::SyncErrc::unanswered;
        batches.emplace_back(batch.begin(), batch.end());
        belay::SyncResult<Op> result = is_full ? kept(batch) : processor.process_batch("s", batch);
        if (lost()) return belay::SyncErrc::unanswered;
        return result;
    }
    belay::Result<Page> changes(const belay::part::StoreCursor& since) {
        ++questions;
        if (lost()) return belay::SyncErrc::unanswered;
        auto page = processor.store().changes_since("s", since, page_size);
        if (lost()) return belay::SyncErrc::unanswered;
        return page;
    }
    bool lost() { return lose_in != 0 && --lose_in == 0; }
    /// Takes the interactions, and keeps the edits.
    static belay::SyncResult<Op> kept(std::span<const Op> batch) {
        belay::SyncResult<Op> result;
        std::set<std::string> elements;
        for (const Op& one : batch) {
            if (one.kind() == belay::OperationKind::interaction) {
                ++result.synced_count;
                continue;
            }
            const bool is_first = elements.insert(std::string{one.element()}).second;
            const auto why = is_first ? belay::SyncErrc::store_full : belay::SyncErrc::held_back;
            result.failed_operations.push_back({one, why, true, {}, true});
        }
        result.failed_count = result.failed_operations.size();
        return result;
    }

    Processor& processor;
    std::size_t page_size = 3;
    std::uint64_t lose_in = 0;  // the number of the request or answer that is lost; 0: none
    std::uint64_t questions = 0;
    std::vector<Ops> batches{};
    bool is_full = false;
};
template <class Processor>
LossyServer(Processor&) -> LossyServer<Processor>;

}  // namespace belay_test
