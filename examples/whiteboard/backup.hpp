// SPDX-License-Identifier: MIT
// Copies the boards of a server that runs into a folder, and takes one back. The copy is a storage
// of its own: a server can start on it.
#pragma once

#include <belay/posix/journal_rooms.hpp>
#include <belay/room/room_manager.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "restore_notes.hpp"

/// Opens the boards in a folder.   Returns: or the reason why not.
inline belay::Result<belay::posix::JournalRooms, std::string> rooms_in(const std::string& data) {
    auto log = belay::posix::Journal::open(data + "/log", {.verify = belay::Verify::skip_damage});
    if (!log) return log.error().message();
    auto rooms = belay::posix::JournalRooms::open(data + "/boards", std::move(*log));
    if (!rooms) return rooms.error().message();
    return std::move(*rooms);
}

/// Makes calls of a RoomManager from another thread than that of its loop, one after the other.
///
/// `Rooms` is the RoomManager. `stops` becomes true when the loop ends; then no call waits. `data` is
/// the folder of the server.
template <class Rooms>
class BoardCopies {
public:
    BoardCopies(boost::asio::io_context& context, Rooms& rooms, const std::atomic<bool>& stops,
                const std::string& data)
        : context_{context}, rooms_{rooms}, stops_{stops}, notes_{data} {}

    /// Copies all boards into a new folder, except those that cannot be read.
    /// Returns: what was done, after "ok: ", or why not all were copied.
    [[nodiscard]] std::string back_up(const std::string& folder) {
        std::error_code error;
        if (!std::filesystem::is_empty(folder, error) && !error)
            return folder + " is not empty: name a new folder";
        std::filesystem::create_directories(folder, error);
        if (error) return folder + ": " + error.message();
        auto copy = rooms_in(folder);
        if (!copy) return folder + ": " + copy.error();
        Copied copied;
        for (std::string last;;) {
            const auto listed = call<belay::Result<std::vector<std::string>, Error>>(
                [this, last](auto done) { rooms_.list(last, 100, std::move(done)); });
            if (!listed) return "the server stops";
            if (!*listed) return listed->error().message();
            if ((*listed)->empty()) break;
            for (const std::string& board : **listed) {
                const std::string failed = copy_one(*copy, board, copied);
                if (!failed.empty()) return board + ": " + failed + "; the copy is not complete";
            }
            last = (*listed)->back();
        }
        std::string done = std::to_string(copied.boards) + " boards are in " + folder;
        if (!copied.lossy.empty())
            done += "; changes may be missing, so keep the former copy, of" + copied.lossy;
        if (copied.unread.empty()) return "ok: " + done;
        return done + "; the copy is not complete, so keep the former copy, of" + copied.unread;
    }
    /// Replaces one board by its copy.   Returns: likewise.
    [[nodiscard]] std::string restore(const std::string& folder, const std::string& board) {
        // Opening a storage would create it.
        std::error_code error;
        if (!std::filesystem::exists(folder + "/log", error))
            return folder + (error ? ": " + error.message() : " is no copy of boards");
        auto copy = rooms_in(folder);
        if (!copy) return folder + ": " + copy.error();
        belay::driver::Question<belay::Result<std::optional<belay::StoredRoom>, Error>> loaded;
        copy->load(board, loaded.ask());
        auto room = *loaded.take();
        if (!room) return room.error().message();
        if (!*room) return "the copy has no board " + board;
        // A server that ended during a restore has left its trial.
        if (const std::string left = erase_trials(); !left.empty())
            return "the restore was not begun, an earlier trial cannot be erased: " + left;
        // A copy that is too large to be imported, or damaged, must leave the board as it is.
        if (const std::string bad = try_import(**room); !bad.empty())
            return "the restore was not begun, the copy cannot be imported: " + bad;
        // If only the flush of the note failed, the next start reports it, also after this.
        if (const std::error_code not_noted = notes_.add({board, folder}))
            return "the restore was not begun, it cannot be noted: " + not_noted.message();
        // Otherwise the present content of the board would be merged with the copy. The clients
        // begin anew.
        const auto reset =
            call<Error>([this, board](auto done) { rooms_.reset(board, std::move(done)); });
        if (!reset || *reset) return (reset ? reset->message() : "the server stops") + look;
        const auto imported =
            call<Error>([this, board, content = std::move(**room)](auto done) mutable {
                rooms_.import_room(board, std::move(content), std::move(done));
            });
        if (!imported || *imported)
            return (imported ? imported->message() : "the server stops") + look;
        const std::string done = board + " is as it was in " + folder;
        if (const std::error_code stays = notes_.remove(board)) {
            return done + "; its note may stay (" + stays.message() +
                   "), so do not restore it again if the next start of the server reports it";
        }
        return "ok: " + done;
    }

private:
    using Error = belay::PersistenceError;
    static constexpr const char* look =
        "; the board may be empty, as it was before, or restored: look at it before you try again";

    static constexpr const char* trials = "restore-trial-";  // ids of this form are reserved
    static constexpr const char* next_erases = "; the next restore erases the board ";

    /// Erases the boards that earlier trials have left.   Returns: why not, or nothing.
    [[nodiscard]] std::string erase_trials() {
        for (;;) {
            const auto listed = call<belay::Result<std::vector<std::string>, Error>>(
                [this](auto done) { rooms_.list(trials, 1, std::move(done)); });
            if (!listed) return "the server stops";
            if (!*listed) return listed->error().message();
            if ((*listed)->empty() || !(*listed)->front().starts_with(trials)) return {};
            const auto erased = call<Error>([this, trial = (*listed)->front()](auto done) {
                rooms_.erase(trial, std::move(done));
            });
            if (!erased || *erased) return erased ? erased->message() : "the server stops";
        }
    }
    /// Imports a copy under an unused id, and erases that board.   Returns: why not, or nothing.
    [[nodiscard]] std::string try_import(const belay::StoredRoom& content) {
        const std::string trial = trials + std::to_string(std::random_device{}());
        const auto imported = call<Error>([this, trial, content](auto done) mutable {
            rooms_.import_room(trial, std::move(content), std::move(done));
        });
        const auto erased =
            call<Error>([this, trial](auto done) { rooms_.erase(trial, std::move(done)); });
        if (!imported || !erased) return "the server stops" + (next_erases + trial);
        std::string bad = *imported ? imported->message() : std::string{};
        if (*erased) bad += (bad.empty() ? "" : "; ") + erased->message() + next_erases + trial;
        return bad;
    }
    struct Copied {
        std::size_t boards = 0;
        std::string lossy{};   // ids of those that may lack changes
        std::string unread{};  // ids of those that are not copied, with the reasons
    };
    /// Copies a board, or adds it to those that cannot be read.
    /// Returns: why no more boards can be copied, or nothing.
    [[nodiscard]] std::string copy_one(belay::posix::JournalRooms& copy, const std::string& board,
                                       Copied& copied) {
        const auto room = call<belay::Result<std::optional<belay::StoredRoom>, Error>>(
            [this, board](auto done) { rooms_.export_room(board, std::move(done)); });
        if (!room) return "the server stops";
        if (!*room) copied.unread += " " + board + " (" + room->error().message() + ")";
        if (!*room || !**room) return {};  // or it was erased meanwhile
        const belay::StoredRoom& stored = ***room;
        if (stored.loss) copied.lossy += " " + board;
        ++copied.boards;
        // With its epoch: clients of the board can continue on the copy.
        if (const auto error = copy.reset(board, stored.epoch)) return error.message();
        for (const auto* updates : {&stored.snapshot, &stored.updates}) {
            for (const belay::Bytes& update : *updates) {
                if (const auto error = copy.append(board, update)) return error.message();
            }
        }
        belay::driver::Question<belay::part::FlushedRooms> flushed;
        copy.flush(flushed.ask());
        const Error error = flushed.take()->error;
        return error ? error.message() : std::string{};
    }
    /// Calls `ask` with a Completion on the thread of the loop, and waits for the answer. The call
    /// may come later, so `ask` refers to this object only.
    /// Returns: nothing if the server stops.
    template <class Answer, class Ask>
    [[nodiscard]] std::optional<Answer> call(Ask ask) {
        const auto promise = std::make_shared<std::promise<std::optional<Answer>>>();
        auto answered = promise->get_future();
        boost::asio::post(context_, [ask = std::move(ask), promise]() mutable {
            ask(belay::Completion<Answer>{[promise](std::optional<Answer> answer) noexcept {
                promise->set_value(std::move(answer));
            }});
        });
        while (answered.wait_for(std::chrono::milliseconds{20}) != std::future_status::ready) {
            if (stops_) return std::nullopt;
        }
        return answered.get();
    }

    boost::asio::io_context& context_;
    Rooms& rooms_;
    const std::atomic<bool>& stops_;
    RestoreNotes notes_;
};
