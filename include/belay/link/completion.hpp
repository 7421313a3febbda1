// SPDX-License-Identifier: MIT
/// \file belay/link/completion.hpp
/// Completion: how an answer that takes its time gets back into the attempt that asked.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move, std::exchange

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/link/link.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {
template <class V>
struct Answer : detail::Counted {
    detail::SpinMutex mutex;
    std::optional<V> value;
};
}  // namespace detail

/// Answers one question, once, from any thread; dropped unanswered it says "no".
///
/// Nothing happens if the attempt that asked is over by then.
///
/// Thread safety: distinct objects safe.   Allocates: once, when the question is asked.
template <class V, class M>
class Completion {
public:
    Completion(detail::Ref<detail::Answer<V>> answer, Link<M> link) noexcept
        : answer_{std::move(answer)}, link_{std::move(link)} {}
    Completion(Completion&&) noexcept = default;
    Completion& operator=(Completion&&) = delete;
    ~Completion() {
        if (answer_) link_.note(0);
    }

    /// The answer.   Pre: not answered yet.
    void operator()(V value) {
        BELAY_PRECONDITION(static_cast<bool>(answer_), "Completion: must be answered once only");
        const detail::Ref<detail::Answer<V>> answer = std::move(answer_);
        {
            const detail::SpinLock lock{answer->mutex};
            answer->value.emplace(std::move(value));
        }
        link_.note(0);
    }

private:
    detail::Ref<detail::Answer<V>> answer_;
    Link<M> link_;
};

}  // namespace belay::inline BELAY_ABI
