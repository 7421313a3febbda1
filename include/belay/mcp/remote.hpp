// SPDX-License-Identifier: MIT
/// \file belay/mcp/remote.hpp
/// mcp::Remote: a server of the Model Context Protocol as the remote side of a bridge. Needs
/// nlohmann/json.
#pragma once

#include <memory>       // std::unique_ptr
#include <new>          // std::bad_alloc
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant
#include <vector>       // std::vector

#include <belay/json/sync.hpp>
#include <belay/mcp/detail/client.hpp>
#include <belay/mcp/error.hpp>
#include <belay/mcp/options.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Stores scenes in a server that is called by MCP over Streamable HTTP.
///
/// It uses two tools of the server, see Options.
///
///     Remote{curl::Http{loop}, "http://localhost:3000/mcp", {.token = source}}
///
/// - `fetch` calls `fetch_scene{session_id}`. The scene is the structured content of the result. If
///   there is none, it is the first text of the result, as JSON. The value `null` means that there
///   is no such session; see also Options::is_missing.
/// - `push` calls `push_scene{session_id, scene}`.
///
/// The server receives a scene as {"content", "stamp", "saw", "unaware"}, in the form of
/// json/sync.hpp. It may ignore the last two. The content has the form of its own
/// to_json and from_json. If the server needs another form, declare `to_json(json&, const
/// belay::Scene<Yours>&)` and `from_json` in your namespace.
///
/// The first call begins the protocol's session, and close() ends it. If a call fails because the
/// session is lost, the session is begun anew, once for that call. The status for that is 404, or
/// 400 from servers with one session. A call that timed out, or whose result is no longer wanted,
/// is cancelled at the server. For errors, the status of HTTP comes before its body; then Errc.
///
/// `http` is an HttpLike, or a std::ref of one that others use, too.
///
/// Models:        RemoteLike, MachineLike; movable until it is attached or called.
/// Thread safety: home thread.
/// Allocates:     with each call.
/// Throws:        std::bad_alloc; advance() also throws what the source of tokens throws.
template <class Http, class Content = nlohmann::json>
class Remote {
    static_assert(explain::http_like<detail::Unwrapped<Http>>());

public:
    using content_type = Content;

    /// Constructs a remote for the server at `url`.
    ///
    /// Pre: tools and arguments have names; the timeout and the limits are > 0.
    explicit Remote(Http http, std::string url, Options options = {}) {
        BELAY_OPTION(!options.fetch_tool.empty() && !options.push_tool.empty() &&
                         !options.session_argument.empty() && !options.scene_argument.empty(),
                     "mcp::Remote: tools and arguments must have names");
        BELAY_OPTION(
            options.timeout > Duration{} && options.answer_bytes_max > 0 && options.depth_max > 0,
            "mcp::Remote: timeout, answer_bytes_max and depth_max must be > 0");
        state_ = std::make_unique<State>(std::move(http), std::move(url), std::move(options));
    }

    void fetch(std::string_view session,
               Completion<Result<std::optional<Scene<Content>>, Failure>> completion) {
        State& s = *state_;
        detail::McpJson arguments{{s.options.session_argument, std::string{session}}};
        if (!detail::is_writable(arguments)) {
            return completion(Failure::from(Errc::bad_scene));
        }
        s.begin(s.options.fetch_tool, std::move(arguments), std::move(completion));
    }
    void push(std::string_view session, Scene<Content> scene, Completion<Failure> completion) {
        State& s = *state_;
        detail::McpJson arguments{{s.options.session_argument, std::string{session}}};
        if (!put(scene, arguments[s.options.scene_argument]) || !detail::is_writable(arguments)) {
            return completion(Failure::from(Errc::bad_scene));
        }
        s.begin(s.options.push_tool, std::move(arguments), std::move(completion));
    }
    /// Ends the protocol's session; no call may follow. The answer comes when the server has
    /// confirmed it.
    void close(Completion<Failure> completion) {
        State& s = *state_;
        s.calls.clear();
        s.client.core().close();
        s.end_session.emplace(std::move(completion));
        s.client.touch();
    }

    void attach(Waker waker) noexcept { state_->client.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept { return state_->deadline(); }
    void advance(Instant) { state_->advance(); }

private:
    /// Returns: false if the user's to_json rejects the scene by an exception, as those of nlohmann
    ///          do.
    [[nodiscard]] static bool put(const Scene<Content>& scene, detail::McpJson& to) {
        try {
            to = scene;
            return true;
        } catch (const std::bad_alloc&) {
            throw;
        } catch (...) {
            return false;
        }
    }

    using Asked = std::variant<Completion<Result<std::optional<Scene<Content>>, Failure>>,
                               Completion<Failure>>;
    struct Call {
        std::uint64_t number;
        Asked asked;
    };

    // Cannot be moved, unlike the remote.
    struct State {
        State(Http http, std::string url, Options given)
            : options{std::move(given)}, client{std::move(http), std::move(url), options} {}

        void begin(const std::string& tool, detail::McpJson arguments, Asked asked) {
            calls.reserve(calls.size() + 1);
            calls.push_back({client.core().call(tool, std::move(arguments)), std::move(asked)});
            client.touch();
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const bool over = end_session && !client.core().is_closing();
            return over ? always : client.deadline();
        }
        void advance() {
            const driver::TurnGuard guard{lifetime};
            give_up_unwanted();
            client.advance();
            if (guard.gone()) return;
            while (auto done = client.core().next_done()) {
                answer(*done);
                if (guard.gone()) return;
            }
            if (end_session && !client.core().is_closing()) {
                Completion<Failure> last = std::move(*end_session);
                end_session.reset();
                last(client.core().end_failure());
            }
        }
        void give_up_unwanted() {
            std::erase_if(calls, [&](const Call& call) {
                const bool wanted =
                    std::visit([](const auto& asked) { return asked.wanted(); }, call.asked);
                if (!wanted) client.core().give_up(call.number);
                return !wanted;
            });
        }
        void answer(detail::McpDone& done) {
            const auto at = detail::find_numbered(calls, done.call);
            if (at == calls.end()) return;
            Asked asked = std::move(at->asked);
            calls.erase(at);
            if (auto* pushed = std::get_if<Completion<Failure>>(&asked)) {
                return (*pushed)(done.error ? done.error->failure : Failure{});
            }
            auto& fetched =
                std::get<Completion<Result<std::optional<Scene<Content>>, Failure>>>(asked);
            if (!done.error) return fetched(scene_of(done.result));
            const bool failed = done.error->failure.error() == Errc::tool_failed;
            if (failed && options.is_missing(*done.error)) {
                return fetched(std::optional<Scene<Content>>{});
            }
            fetched(done.error->failure);
        }
        [[nodiscard]] Result<std::optional<Scene<Content>>, Failure> scene_of(
            const detail::McpJson& result) const {
            const auto json = detail::json_of_result(result, options.depth_max);
            if (!json) return Failure::from(json.error());
            if (json->is_null()) return std::optional<Scene<Content>>{};
            try {
                return std::optional<Scene<Content>>{json->template get<Scene<Content>>()};
            } catch (const std::bad_alloc&) {
                throw;
            } catch (...) {
                // from_json of nlohmann throws, and that of a user may throw, too.
                return Failure::from(Errc::no_scene);
            }
        }

        driver::LifetimeFlag lifetime;
        Options options;
        std::vector<Call> calls;
        std::optional<Completion<Failure>> end_session;
        detail::McpClient<Http> client;
    };

    std::unique_ptr<State> state_;
};

template <class Http>
Remote(Http, std::string) -> Remote<Http>;
template <class Http>
Remote(Http, std::string, Options) -> Remote<Http>;

}}}  // namespace belay::mcp
