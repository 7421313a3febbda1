// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_imports.hpp
/// RoomImports: adds stored rooms to rooms of a RoomManager.
#pragma once

#include <cstddef>       // std::size_t
#include <string>        // std::string, std::to_string
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/document_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The imports of rooms. An import waits until its room is loaded, is checked on a copy of the
/// document, and is answered when its last update is durable.
///
/// This part calls
/// - `rooms`: `find_or_make`, `step` and `end_history`,
/// - `scheduler`: `append`, to store the updates,
/// - `replication`: `on_held_back`, to compare the document with a storage that may have lost it.
///
/// Thread safety: the manager's home thread.
template <class Persistence, class Document>
class RoomImports {
    using Room = RoomState<Document>;

public:
    RoomImports(TurnContext& context, RoomModule<Persistence, Document>& parts) noexcept
        : context_{context}, parts_{parts} {}
    RoomImports(const RoomImports&) = delete;
    RoomImports& operator=(const RoomImports&) = delete;

    void import_room(const std::string& room_id, StoredRoom content,
                     Completion<PersistenceError> done) {
        if (!parts_.answers.accept(room_id, done)) return;
        const AdminAnswers::Beginning beginning{parts_.answers};
        if (content.loss) {
            content.loss.cure =
                "import another copy, or clear StoredRoom::loss to import what is left";
            return parts_.answers.answer(done, std::move(content.loss));
        }
        std::error_code error;
        auto* const room = parts_.rooms.find_or_make(room_id, error);
        if (room == nullptr) return parts_.answers.answer_error(done, error);
        const std::size_t size = bytes_of(content);
        if (size > context_.options.unflushed_bytes_max - room->after_load.import_bytes)
            return parts_.answers.answer_error(done, make_error_code(RoomErrc::update_too_large));
        parts_.rooms.step(*room, timeline::RoomCore::Event::used);
        RoomImport import{std::move(content), std::move(done)};
        if (room->core.live()) return apply(*room, import);
        room->after_load.imports.push_back(std::move(import));
        room->after_load.import_bytes += size;
    }
    /// Applies the imports that waited for the load. After one that throws, the room ends.
    void on_loaded(Room& room) {
        room.after_load.import_bytes = 0;
        bool goes_on = true;
        for (RoomImport& import : std::exchange(room.after_load.imports, {})) {
            goes_on = goes_on && context_.errors.attempt([&] { apply(room, import); });
            if (!goes_on)
                parts_.answers.answer_error(import.done, make_error_code(RoomErrc::not_loaded));
        }
        if (!goes_on && !room.evicted) parts_.rooms.end_history(room, RoomErrc::not_loaded);
    }
    /// Answers imports with an error: the room ended, or its pending changes are lost.
    void fail_all(RoomBase& room, const PersistenceError& why) {
        room.after_load.import_bytes = 0;
        for (RoomImport& import : std::exchange(room.after_load.imports, {}))
            parts_.answers.answer_error(import.done, why);
        for (PendingUpdate& change : room.pending.all()) fail_change(change, why);
        answer_known(room, why);
    }
    /// Answers the imports that the document has: without an error if the storage has all of it.
    void answer_known(RoomBase& room, const PersistenceError& error) {
        for (auto& done : std::exchange(room.after_load.known_imports, {}))
            parts_.answers.answer_error(done, error);
    }
    /// A load to compare the document with the storage has ended. If no changes are being stored
    /// again, it has failed, and so has each import that waits for it.
    void on_compared(RoomBase& room, const PersistenceError& error) {
        if (room.evicted || !may_be_lost(room) || room.pending.restores()) return;
        answer_known(room, error ? error : PersistenceError{RoomErrc::not_durable, {}, {}});
    }
    /// Answers the import whose last change this is, if it is one.
    void fail_change(PendingUpdate& change, const PersistenceError& why) {
        if (!change.done) return;
        parts_.answers.answer_error(*change.done, why);
        change.done.reset();
    }
    /// A change is durable. If it is the last one of an import, holds the answer, which is an error
    /// if the room ends before the change is applied.   Returns: whether it is.
    [[nodiscard]] bool hold(RoomBase& room, PendingUpdate& change) {
        if (!change.done) return false;
        room.after_load.known_imports.push_back(std::move(*change.done));
        change.done.reset();
        return true;
    }
    /// Answers the imports that are held without an error as soon as the storage surely has all of
    /// the document.
    void answer_or_hold(RoomBase& room) {
        if (!may_be_lost(room)) return answer_known(room, {});
        room.replication->loss.holds_statuses = true;
        parts_.replication.on_held_back(room);
    }

private:
    [[nodiscard]] static std::size_t bytes_of(const StoredRoom& content) noexcept {
        std::size_t size = 0;
        for (const auto* part : {&content.snapshot, &content.updates})
            for (const Bytes& update : *part) size += update.size();
        return size;
    }

    /// Whether a shared storage may lack changes of the document.
    [[nodiscard]] static bool may_be_lost(const RoomBase& room) noexcept {
        return room.replication && room.replication->loss.is_possible();
    }
    void apply(Room& room, RoomImport& import) {
        std::vector<BytesView> adding;
        if (PersistenceError error = check_import(room, import.content, adding))
            return parts_.answers.answer(import.done, std::move(error));
        for (const BytesView update : adding) {
            if (const std::error_code e = parts_.scheduler.append(
                    room, {.update = update, .first = import.content.epoch}))
                return parts_.answers.answer_error(import.done, e);
            parts_.rooms.step(room, timeline::RoomCore::Event::appended);
        }
        if (adding.empty()) {
            room.after_load.known_imports.push_back(std::move(import.done));
            return answer_or_hold(room);
        }
        room.pending.all().back().done = std::move(import.done);
    }
    /// Collects the new updates of an import, after all were tried on a copy of the document.
    [[nodiscard]] PersistenceError check_import(Room& room, const StoredRoom& content,
                                                std::vector<BytesView>& adding) const {
        // Merges the document first, so that its content is known.
        static_cast<void>(room.document.state_vector());
        Document trial{room.document};
        std::size_t number = 0;
        std::size_t size = room.pending.bytes();
        for (const auto* part : {&content.snapshot, &content.updates}) {
            for (const Bytes& update : *part) {
                ++number;
                auto adds = trial.check(update);
                std::error_code error;
                if (!adds.has_value()) error = static_cast<std::error_code>(adds.error());
                if (!error && !*adds) continue;
                // A backup of a document above its limits is restored, as it would be loaded.
                if (is_document_full(error) && room.document.bytes() == 0) error = {};
                if (!error) error = static_cast<std::error_code>(trial.apply(update));
                if (error) return {error, {}, "part " + std::to_string(number) + " of the import"};
                size += update.size();
                adding.emplace_back(update);
            }
        }
        if (size > context_.options.unflushed_bytes_max)
            return {RoomErrc::update_too_large, {}, "RoomOptions::unflushed_bytes_max"};
        return {};
    }

    TurnContext& context_;
    RoomModule<Persistence, Document>& parts_;
};

}}}  // namespace belay::detail
