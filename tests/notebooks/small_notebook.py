"""The source of a notebook that takes no time."""

SOURCE = """\
# %% [markdown]
# # 01. A small notebook
#
# One minute.

# %% tags=["parameters"]
PROFILE = "full"  # or "smoke"

# %%
1 + 1

# %%
1 + 1

# %% tags=["exercise"]
answer = None

# %% tags=["solution"]
answer = 42
"""
