// SPDX-License-Identifier: MIT
/// \file belay/sync/link_exchange.hpp
/// LinkExchange: the exchange of a RemoteSyncServer over a link.
#pragma once

#include <memory>        // std::make_shared
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_void_v
#include <utility>       // std::move

#include <belay/link/requests.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/sync/detail/exchange_wait.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_messages.hpp>

namespace belay { inline namespace BELAY_ABI { namespace part {

/// Asks over a Requests whose codec is SyncMessages, and runs the loop until the answer is there.
///
/// `loop` is the driver of `requests`, with `bool run_until(done, limit)`: Loop, posix::Loop, or
/// sim::World in a test. Other machines of the loop run meanwhile. A question is sent again on the
/// next connection if this one ends.
///
/// Pre:           not called inside a turn of the loop; a hook sets a flag instead.
/// Thread safety: the loop's thread.
template <class Questions, class Loop>
class LinkExchange {
public:
    /// Does not compile.
    LinkExchange(Questions&, Loop&) {
        static_assert(std::is_void_v<Questions>,
                      "LinkExchange: the first argument must be a belay::Requests whose codec is "
                      "belay::part::SyncMessages");
    }
    Result<Bytes> operator()(Bytes, Duration) { return Bytes{}; }
};

template <class Transport, class Policy, class Observer, class Loop>
class LinkExchange<Requests<Transport, Policy, SyncMessages, Observer>, Loop> {
    static_assert(
        detail::carries_any_bytes<Transport>,
        "LinkExchange: the transport must carry any bytes; use LengthPrefixed, not Lines");

public:
    using Questions = Requests<Transport, Policy, SyncMessages, Observer>;

    LinkExchange(Questions& requests, Loop& loop) noexcept : requests_{&requests}, loop_{&loop} {}

    /// Errors: those of the failure of Requests::ask; unanswered: the loop was stopped.
    [[nodiscard]] Result<Bytes> operator()(Bytes question, Duration within) {
        // Requests gives the question an id of its own, for the time on the link.
        const bool has_id = question.size() >= detail::SyncHeader::size;
        const std::uint64_t id = has_id ? detail::SyncHeader::id_of(question) : 0;
        // Shared, because the question may outlive this call if the loop is stopped.
        auto answer = std::make_shared<std::optional<Result<Bytes, Failure>>>();
        const auto asked = requests_->ask(
            std::move(question), within,
            [answer](Result<Bytes, Failure> got) { answer->emplace(std::move(got)); },
            RequestsOptions::send_again);
        if (!asked) return asked.error();
        const bool ended =
            detail::wait_for_exchange(*loop_, within, [&] { return answer->has_value(); });
        if (!ended) {
            requests_->cancel(*asked);
            return make_error_code(SyncErrc::unanswered);
        }
        if (**answer) {
            SyncMessages::put_id(***answer, id);
            return std::move(***answer);
        }
        const std::error_code error = (**answer).error().error();
        return error ? error : make_error_code(SyncErrc::unanswered);
    }

private:
    Questions* requests_;
    Loop* loop_;
};

template <class Questions, class Loop>
LinkExchange(Questions&, Loop&) -> LinkExchange<Questions, Loop>;
template <class Transport, class Policy, class Observer, class Loop>
LinkExchange(Requests<Transport, Policy, SyncMessages, Observer>&, Loop&)
    -> LinkExchange<Requests<Transport, Policy, SyncMessages, Observer>, Loop>;

}}}  // namespace belay::part
