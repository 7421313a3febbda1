// SPDX-License-Identifier: MIT
/// \file belay/http.hpp
/// All of http/: what belay asks of a client of HTTP, and what it asks it.
#pragma once

#include <belay/http/http_errc.hpp>
#include <belay/http/http_like.hpp>
#include <belay/http/http_message.hpp>
