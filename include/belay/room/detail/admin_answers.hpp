// SPDX-License-Identifier: MIT
/// \file belay/room/detail/admin_answers.hpp
/// AdminAnswers: accepts the calls on whole rooms, and answers them at the end of the turn.
#pragma once

#include <cstddef>       // std::size_t
#include <exception>     // std::uncaught_exceptions
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::type_identity_t
#include <utility>       // std::move

#include <belay/core/completion.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Counts the calls on whole rooms that wait for an answer, up to `waiting_max`. The manager
/// delivers the answers at the end of its turn.
///
/// Thread safety: the manager's home thread.
class AdminAnswers {
public:
    /// An export holds a whole document until it is answered. A program processes many rooms one
    /// after the other, so only its administrators' calls at one time count.
    static constexpr std::size_t waiting_max = 100;

    explicit AdminAnswers(TurnContext& context) noexcept : context_{context} {}
    AdminAnswers(const AdminAnswers&) = delete;
    AdminAnswers& operator=(const AdminAnswers&) = delete;

    /// Gives back the place of a call that throws. Such a call is not answered, and does not wait.
    class Beginning {
    public:
        explicit Beginning(AdminAnswers& answers) noexcept : answers_{answers} {}
        Beginning(const Beginning&) = delete;
        Beginning& operator=(const Beginning&) = delete;
        ~Beginning() {
            if (std::uncaught_exceptions() > before_) --answers_.waiting_;
        }

    private:
        AdminAnswers& answers_;
        int before_ = std::uncaught_exceptions();
    };

    /// Begins a call, or answers it with an error.   Returns: whether it begins.
    template <class V>
    [[nodiscard]] bool accept(Completion<V>& done) {
        ++waiting_;
        std::error_code error;
        if (!context_.runs()) error = RoomErrc::manager_stopped;
        if (waiting_ > waiting_max) error = RoomErrc::too_many;
        if (error) answer_error(done, error);
        return !error;
    }
    /// Begins a call on the room with this id, or answers it with an error.
    /// Returns: whether it begins.
    template <class V>
    [[nodiscard]] bool accept(std::string_view room_id, Completion<V>& done) {
        if (!accept(done)) return false;
        if (is_room_id(room_id)) return true;
        answer_error(done, make_error_code(RoomErrc::bad_room_id));
        return false;
    }
    template <class V>
    void answer(Completion<V>& done, std::type_identity_t<V> result) {
        context_.pending_events.push_back(PendingAnswer<V>{std::move(done), std::move(result)});
        --waiting_;
    }
    template <class V>
    void answer_error(Completion<V>& done, const PersistenceError& error) {
        answer(done, PersistenceError{error});
    }
    template <class V>
    void answer_error(Completion<V>& done, const std::error_code& error) {
        answer(done, PersistenceError{error, {}, {}});
    }
    /// Whether no call waits for its answer.
    [[nodiscard]] bool empty() const noexcept { return waiting_ == 0; }

private:
    TurnContext& context_;
    std::size_t waiting_ = 0;  // for an answer
};

}}}  // namespace belay::detail
