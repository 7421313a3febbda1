// SPDX-License-Identifier: MIT
// Of the pages that wrap libcurl.
#pragma once

#include <curl/curl.h>
