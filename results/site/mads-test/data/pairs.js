segbench.put("pairs",[{"measure":"dice|class:person|over:images|empty:nan","names":["unet-lite0","otsu","grabcut"],"p":[0.01172,0.01172,0.4805]}]);
