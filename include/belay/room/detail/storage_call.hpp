// SPDX-License-Identifier: MIT
/// \file belay/room/detail/storage_call.hpp
/// StorageCall: a call of the storage that waits for its answer, until a deadline.
#pragma once

#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/core/completion.hpp>
#include <belay/core/order.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One load, flush or save of a room server. V is made of a PersistenceError.
///
/// Thread safety: the manager's home thread.
template <class V>
class StorageCall {
public:
    void attach(const Waker& waker) noexcept { question_.attach(waker); }
    /// Begins a call, which has failed if there is no answer before `ends`.
    /// Returns: the function for the answer.
    [[nodiscard]] Completion<V> begin(Instant now, Instant ends) {
        Completion<V> done = question_.ask();
        begun_ = now;
        ends_ = ends;
        return done;
    }
    /// Notes the text of an exception of the call, for the error; it may be empty.
    void note_exception(std::string what) noexcept { what_ = std::move(what); }
    [[nodiscard]] bool waits() const noexcept { return question_.waits(); }
    /// Returns when the last call began.
    [[nodiscard]] Instant begun() const noexcept { return begun_; }
    [[nodiscard]] bool answered() const noexcept { return question_.answered(); }
    [[nodiscard]] Instant deadline() const noexcept { return smaller(question_.deadline(), ends_); }
    /// Returns whether the call is answered or too late, or there is none.
    [[nodiscard]] bool has_ended(Instant now) const noexcept {
        return !question_.waits() || question_.answered() || ends_ <= now;
    }

    /// Takes the answer. It is no_answer if the storage dropped the call, or is too late. `name`
    /// names the call in the error.   Returns: nothing while the call waits, or if there is none.
    [[nodiscard]] std::optional<V> take(Instant now, const char* name) {
        std::optional<V> answer;
        if (!question_.waits()) return answer;
        if (question_.answered()) {
            answer = question_.take();
            const bool threw = !what_.empty();
            if (!answer)
                answer.emplace(threw ? no_answer("the persistence threw: ", what_.c_str())
                                     : no_answer("the persistence dropped the ", name));
        } else if (ends_ <= now) {
            question_.drop();
            answer.emplace(no_answer("the ", name, " took longer than allowed"));
        } else {
            return answer;
        }
        ends_ = never;
        return answer;
    }

private:
    [[nodiscard]] static PersistenceError no_answer(const char* before, const char* name,
                                                    const char* behind = "") {
        return {RoomErrc::no_answer, {}, std::string{before} + name + behind};
    }

    driver::Question<V> question_;
    Instant begun_ = always;
    Instant ends_ = never;
    std::string what_{};
};

}}}  // namespace belay::detail
