// SPDX-License-Identifier: MIT
/// \file belay/link/detail/token_source_like.hpp
/// What a source of credentials is asked: a `token_type`, and to answer a Completion with one.
#pragma once

#include <utility>  // std::move

#include <belay/core/completion.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

template <class Source>
concept HasTokenType = requires { typename Source::token_type; };
template <class Source>
concept AnswersTokens =
    HasTokenType<Source> &&
    requires(Source& source, Completion<typename Source::token_type> completion) {
        { source(std::move(completion)) } -> std::same_as<void>;
    };

}}}  // namespace belay::detail
